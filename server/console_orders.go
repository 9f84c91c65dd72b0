package server

import (
	"context"

	"github.com/wardmdm/ward/server/approver"
	"github.com/wardmdm/ward/server/brake"
	"github.com/wardmdm/ward/server/notify"
	"go.uber.org/zap"
)

// notifier keeps what a console has to tell in the outbox, from where the server sends it.
func (o *Console) notifier() (*notify.Service, error) {
	email, hooks, err := o.config.Notify.senders(o.url, o.now)
	if err != nil {
		return nil, err
	}
	return notify.New(notify.Config{
		Store: o.db.Notifications(), People: addresses{o.db.Access()}, Audit: recorder{o.log, o.db.Fleet()}, Now: o.now, Logger: zap.NewNop(), PublicURL: o.url,
		Email: email, To: o.config.Notify.Email.To, Webhooks: hooks,
	})
}

// Approvers returns the register of those who may approve orders. Trust and MakeGlass, which
// only the console may call, change the root of trust among the keys.
func (o *Console) Approvers() (*approver.Service, error) {
	n, err := o.notifier()
	if err != nil {
		return nil, err
	}
	c := o.config
	c.PublicURL = o.url
	teller := &Server{Notify: n}
	return openApprovers(c, o.db, recorder{o.log, o.db.Fleet()}, o.now, teller)
}

// Brake returns the brake, whose journal only the console may anchor anew.
func (o *Console) Brake() (*brake.Service, error) {
	return openBrake(o.config, o.db, o.master, brake.Config{Now: o.now})
}

// Reanchor begins the chain of the brake's journal anew, and tells everyone. It is for after
// a restored backup, or when it was found out who changed the journal.
func (o *Console) Reanchor(ctx context.Context, reason string) error {
	b, err := o.Brake()
	if err != nil {
		return err
	}
	n, err := o.notifier()
	if err != nil {
		return err
	}
	if err := b.Reanchor(ctx, reason); err != nil {
		return err
	}
	if err := journalCases(ctx, o.db, b, "via reset of "); err != nil { // else what is lost would get no command any more
		return err
	}
	return o.db.Do(ctx, func(ctx context.Context) error {
		if err := (recorder{o.log, o.db.Fleet()}).Record(ctx, "brake.reset", "", map[string]string{"reason": reason}); err != nil {
			return err
		}
		return n.Tell(ctx, notify.Message{
			Topic: notify.Tampered, Subject: "The brake’s journal was begun anew", Link: "/brake", Urgent: true, Everyone: true,
			Body: "The operator began it anew at the server's console. Orders from before are void; what was counted before still counts, and what holds goes on holding. The reason given: " + reason,
		})
	})
}
