package enrollment

import "context"

// Renewal returns the enrolment profile of an invitation by which a device enrolled, anew:
// as Profile makes it, with a ticket for another identity, and for the topic that the
// device enrolled under, which an MDM payload may not change. A device that is sent it as a
// command puts it in the place of the one that it has, and stays enrolled.
func (b *Profiles) Renewal(ctx context.Context, i Invitation, topic string, t Ticket) ([]byte, error) {
	same := *b
	same.topic = func(context.Context) (string, error) { return topic, nil }
	return same.Profile(ctx, i, t)
}
