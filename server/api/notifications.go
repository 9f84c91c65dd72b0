package api

import (
	"context"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/notify"
)

// Notification is one message on its way to one recipient.
type Notification struct {
	ID        string        `json:"id"`
	Topic     notify.Topic  `json:"topic" enum:"brake.held,brake.released,order.waiting,order.cooling,order.issued,break-glass,command.forged,journal.tampered,case.opened,case.found,case.escalated,case.deadline,approver.added,approver.ended,orders.cancelled,expiry,device.noncompliant,device.compliant,test"`
	Subject   string        `json:"subject"`
	Text      string        `json:"text,omitempty"`
	Link      string        `json:"link,omitempty" doc:"Of the page that tells more."`
	Order     ward.OrderID  `json:"order,omitempty"`
	Case      ward.CaseID   `json:"case,omitempty"`
	Device    ward.DeviceID `json:"device,omitempty"`
	Urgent    bool          `json:"urgent,omitempty"`
	Channel   string        `json:"channel" doc:"email, webhook/ and a name, or none: then nobody is configured to be told."`
	To        string        `json:"to,omitempty" doc:"An e-mail address, or the name of a webhook."`
	State     notify.State  `json:"state" enum:"waiting,delivered,given up"`
	Made      time.Time     `json:"made"`
	Due       *time.Time    `json:"due,omitempty" doc:"When it is tried next, while it waits."`
	Attempts  int           `json:"attempts"`
	Error     string        `json:"error,omitempty" doc:"Why the last attempt failed."`
	Delivered *time.Time    `json:"delivered,omitempty" doc:"When the relay or the webhook took it; more nobody can know."`
	GivenUp   *time.Time    `json:"given_up,omitempty"`
}

func (s *server) notificationOf(d notify.Delivery) Notification {
	m := d.Message
	out := Notification{
		ID: d.ID, Topic: m.Topic, Subject: m.Subject, Text: m.Body, Order: m.Order, Case: m.Case, Device: m.Device, Urgent: m.Urgent,
		Channel: d.Channel, To: d.To, State: d.State(), Made: d.Made.UTC(), Attempts: d.Attempts, Error: d.Error,
		Delivered: when(d.Delivered), GivenUp: when(d.GivenUp),
	}
	if m.Link != "" {
		out.Link = s.PublicURL + m.Link
	}
	if out.State == notify.Waiting {
		out.Due = when(d.Due)
	}
	return out
}

type listNotificationsInput struct{ Paging }

func (s *server) listNotifications(ctx context.Context, in *listNotificationsInput) (*reply[List[Notification]], error) {
	limit := min(in.Limit, 200)
	ds, err := s.Notify.Log(ctx, in.After, limit)
	if err != nil {
		return nil, err
	}
	return answer(page(ds, limit, func(d notify.Delivery) string { return d.ID }, s.notificationOf)), nil
}

func (s *server) testNotifications(ctx context.Context, _ *noInput) (*none, error) {
	return &none{}, s.Notify.SendTest(ctx)
}

type notificationInput struct {
	ID string `path:"id" maxLength:"100"`
}

func (s *server) replayNotification(ctx context.Context, in *notificationInput) (*none, error) {
	return &none{}, s.Notify.Replay(ctx, in.ID)
}
