package server

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/agent/virtual"
	"github.com/wardmdm/ward/server/approver"
	"github.com/wardmdm/ward/server/approver/approvertest"
	"github.com/wardmdm/ward/server/notify"
	"github.com/wardmdm/ward/server/order"
	"github.com/wardmdm/ward/server/store"
)

// intruder writes to the database of a server past the server, and holds no key.
type intruder struct {
	*sql.DB
	t  testing.TB
	pg bool
}

// intruder opens the database of a world.
func (w *world) intruder(t testing.TB) intruder {
	t.Helper()
	url, err := w.config.database()
	if err != nil {
		t.Fatal(err)
	}
	pg := store.IsServer(url)
	driver, source := "sqlite", "file:"+url+"?_pragma=busy_timeout(30000)&_txlock=immediate"
	if pg {
		driver, source = "pgx", url
	}
	db, err := sql.Open(driver, source)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return intruder{db, t, pg}
}

// do changes rows, and fails the test if it changed none.
func (x intruder) do(query string, args ...any) {
	x.t.Helper()
	res, err := x.ExecContext(context.WithoutCancel(x.t.Context()), query, args...)
	if err != nil {
		x.t.Fatalf("%s: %v", query, err)
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		x.t.Fatalf("%s changed %d rows, %v", query, n, err)
	}
}

// blob reads one value of bytes.
func (x intruder) blob(query string, args ...any) (b []byte) {
	x.t.Helper()
	if err := x.QueryRowContext(context.WithoutCancel(x.t.Context()), query, args...).Scan(&b); err != nil {
		x.t.Fatalf("%s: %v", query, err)
	}
	return b
}

// queue puts a row into the queue of a device.
func (x intruder) queue(uuid string, e ward.EnrolmentID, requestType string, sealed []byte, o ward.OrderID, c ward.CaseID) {
	x.t.Helper()
	x.do(`INSERT INTO command (uuid, enrolment_id, request_type, sealed, urgent, pending, deferred, state, step_key, case_id, order_id, requested_by, created_at, delivered_at, deliveries, not_now_at, answered_at, error, expires_at)
		VALUES ($1, $2, $3, $4, -1, TRUE, FALSE, 'waiting', '', $5, $6, '', 1, 0, 0, 0, 0, '', 0)`, uuid, string(e), requestType, sealed, string(c), string(o))
}

// victim is a phone of the fleet that somebody is after.
type victim struct {
	*virtual.Phone
	id ward.DeviceID
	e  ward.Enrolment
}

// sent returns the destructive commands that came to it.
func (v victim) sent() (out []string) {
	for _, d := range v.Destructive() {
		out = append(out, d.RequestType+" "+d.UUID)
	}
	return out
}

// robbery is a world whose database somebody writes to.
type robbery struct {
	*world
	t    testing.TB
	x    intruder
	by   []*approvertest.Person
	herd []victim
	next int
}

// victim returns a phone that nobody was after so far.
func (r *robbery) victim() victim {
	r.t.Helper()
	if r.next == len(r.herd) {
		r.t.Fatal("there are too few phones")
	}
	r.next++
	return r.herd[r.next-1]
}

// connects has a phone ask for all that waits for it.
func (r *robbery) connects(v victim) {
	r.t.Helper()
	if err := r.connect(v); err != nil {
		r.t.Fatal(err)
	}
}

// connect is connects for a goroutine. A phone that is gone asks for nothing.
func (r *robbery) connect(v victim) error {
	if err := v.CheckIn(context.WithoutCancel(r.t.Context())); err != nil && v.Enrolled() {
		return fmt.Errorf("%s: %w", v.Serial(), err)
	}
	return nil
}

// signed has two people order a deed for one phone, and returns the order when its command
// waits in the queue.
func (r *robbery) signed(k order.Kind, v victim) order.Order {
	r.t.Helper()
	o := r.orders(r.t, r.by, order.Request{Kind: k, Devices: []ward.DeviceID{v.id}})
	if o.State == order.Approved {
		r.cools(r.t)
	}
	o, err := r.Orders.Order(r.ctx, o.ID)
	if err != nil || o.State != order.Issued {
		r.t.Fatalf("the order is %s, %v", o.State, err)
	}
	return o
}

// sealed reads the body of an order's command as it lies in the queue.
func (r *robbery) sealed(o order.Order) []byte {
	return r.x.blob(`SELECT sealed FROM command WHERE uuid = $1`, o.Targets[0].Command)
}

// told counts the messages to the people on call about one topic.
func (w *world) told(t testing.TB, topic notify.Topic) (n int) {
	t.Helper()
	for after := ""; ; {
		page, err := w.Notify.Log(w.ctx, after, 100)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range page {
			if d.Message.Topic == topic {
				n++
			}
			after = d.ID
		}
		if len(page) < 100 {
			return n
		}
	}
}

// entries counts the entries of the audit log with an action.
func (w *world) entries(t testing.TB, action string) (n int) {
	t.Helper()
	for _, r := range w.dump(t) {
		if r.Table == "audit_entry" && r.Row["action"] == action {
			n++
		}
	}
	return n
}

// newRobbery starts a server with n phones that are enrolled and have drained their queues.
func newRobbery(t testing.TB, url string, n int) *robbery {
	t.Helper()
	w := start(t, url, brisk)
	r := &robbery{world: w, t: t, by: w.approvers(t, 3)}
	r.herd = w.herd(t, n, func(_ int, o *virtual.Options) (ward.Ownership, ward.Platform) {
		o.Supervised = true
		return ward.Corporate, ward.IOS
	})
	r.x = w.intruder(t)
	return r
}

// attempt is one way in through the database. It returns the phones that it is after. want
// are the destructive commands that they were given by rights.
type attempt struct {
	name   string
	do     func(r *robbery) []victim
	want   int
	silent bool // it changes nothing that anybody could find out, and gains nothing
}

// TestThiefSQL: whatever is written into the tables, no phone is given what two people did
// not order, and the people on call are told of each attempt.
func TestThiefSQL(t *testing.T) {
	both(t, func(t *testing.T, url string) {
		all := slices.Concat(queueAttempts(), orderAttempts())
		r := newRobbery(t, url, 33)
		for _, a := range all {
			audited, told := r.entries(t, "command.withheld")+r.entries(t, order.ActionCancelled), r.told(t, notify.Forged)
			after := a.do(r)
			if _, err := r.Orders.Advance(r.ctx); err != nil {
				t.Errorf("%s: %v", a.name, err)
			}
			for _, v := range after {
				before := len(v.sent())
				r.connects(v)
				r.connects(v) // what was held is tried again
				if got := v.sent(); len(got) > a.want {
					t.Errorf("%s: %s was given %v, %d of them before", a.name, v.Serial(), got, before)
				}
			}
			if a.silent {
				continue
			}
			if n := r.entries(t, "command.withheld") + r.entries(t, order.ActionCancelled) - audited; n < 1 {
				t.Errorf("%s: no entry of the audit log tells of it", a.name)
			}
			if n := r.told(t, notify.Forged) - told; n < 1 {
				t.Errorf("%s: nobody was told of it", a.name)
			}
		}
		r.alarms(t, withheldAlarm, strangerAlarm)
		erased := 0
		for _, v := range r.herd {
			erased += v.Erasures()
		}
		t.Logf("%d attempts on %d phones: %d erased", len(all), r.next, erased)
		if erased > 0 {
			t.Errorf("%d phones were erased", erased)
		}
	})
}

// naked is a command in the clear.
func naked(t testing.TB, uuid, requestType string) []byte {
	t.Helper()
	return encode(t, map[string]any{"CommandUUID": uuid, "Command": map[string]any{
		"RequestType": requestType, "Identifier": "org.wardmdm.management", "UnlockToken": []byte("token"),
	}})
}

// queueAttempts write to the queue alone.
func queueAttempts() (out []attempt) {
	for _, kind := range []string{"EraseDevice", "ClearPasscode", "RemoveProfile"} {
		out = append(out, attempt{name: "a plain " + kind, do: func(r *robbery) []victim {
			v := r.victim()
			r.x.queue("PLAIN", v.e.ID, kind, naked(r.t, "PLAIN", kind), "", "")
			return []victim{v}
		}}, attempt{name: "a plain " + kind + " under a harmless type", do: func(r *robbery) []victim {
			v := r.victim()
			r.x.queue("PLAIN", v.e.ID, "DeviceInformation", naked(r.t, "PLAIN", kind), "", "")
			return []victim{v}
		}})
	}
	return append(out,
		attempt{name: "the sealed body of another row", do: func(r *robbery) []victim {
			v, other := r.victim(), r.victim()
			o := r.signed(order.Erase, other)
			r.x.queue("COPY", v.e.ID, "EraseDevice", r.sealed(o), o.ID, "")
			r.x.queue(o.Targets[0].Command, v.e.ID, "EraseDevice", r.sealed(o), o.ID, "") // its UUID too
			r.connects(v)
			r.cancel(o)
			return []victim{v, other}
		}},
		attempt{name: "the payloads of two orders swapped", do: func(r *robbery) []victim {
			v, other := r.victim(), r.victim()
			a, b := r.signed(order.Erase, v), r.signed(order.Erase, other)
			mine, others := r.sealed(a), r.sealed(b)
			r.x.do(`UPDATE command SET sealed = $1 WHERE uuid = $2`, others, a.Targets[0].Command)
			r.x.do(`UPDATE command SET sealed = $1 WHERE uuid = $2`, mine, b.Targets[0].Command)
			return []victim{v, other}
		}},
		attempt{name: "a harmless row called an erase", do: func(r *robbery) []victim {
			v := r.victim()
			if err := r.Devices.Refresh(r.ctx, v.id); err != nil {
				r.t.Fatal(err)
			}
			r.x.do(`UPDATE command SET request_type = 'EraseDevice' WHERE enrolment_id = $1 AND pending`, string(v.e.ID))
			return []victim{v}
		}},
		attempt{name: "a signed erase sent to another phone", do: func(r *robbery) []victim {
			v, other := r.victim(), r.victim()
			o := r.signed(order.Erase, other)
			r.x.do(`UPDATE command SET enrolment_id = $1 WHERE uuid = $2`, string(v.e.ID), o.Targets[0].Command)
			r.x.do(`UPDATE order_target SET enrolment_id = $1, device_id = $2 WHERE order_id = $3`, string(v.e.ID), string(v.id), string(o.ID))
			return []victim{v, other}
		}},
		attempt{name: "a command that has ended set back", want: 1, do: func(r *robbery) []victim {
			v := r.victim()
			o := r.signed(order.ClearPasscode, v)
			kept := r.sealed(o)
			r.connects(v)
			r.revive(o, kept)
			return []victim{v}
		}},
		attempt{name: "a command that has ended set back, and its order with it", want: 1, do: func(r *robbery) []victim {
			v := r.victim()
			o := r.signed(order.ClearPasscode, v)
			kept := r.sealed(o)
			r.connects(v)
			r.revive(o, kept)
			r.x.do(`UPDATE order_target SET outcome = 'waiting', answered_at = 0 WHERE order_id = $1`, string(o.ID))
			return []victim{v}
		}},
		attempt{name: "a cancelled erase revived", do: func(r *robbery) []victim {
			v := r.victim()
			o := r.signed(order.Erase, v)
			kept := r.sealed(o)
			r.cancel(o)
			r.revive(o, kept)
			r.x.do(`UPDATE orders SET state = 'issued', closed_at = 0, closed_by = '', closed_name = '', closed_reason = '' WHERE id = $1`, string(o.ID))
			r.x.do(`UPDATE order_target SET outcome = 'waiting', answered_at = 0, error = '' WHERE order_id = $1`, string(o.ID))
			return []victim{v}
		}},
		attempt{name: "an erase whose time is drawn out", do: func(r *robbery) []victim {
			v := r.victim()
			o := r.signed(order.Erase, v)
			r.x.do(`UPDATE command SET expires_at = expires_at + 1000000 WHERE uuid = $1`, o.Targets[0].Command)
			return []victim{v}
		}},
	)
}

func (r *robbery) cancel(o order.Order) {
	r.t.Helper()
	if _, err := r.Orders.Cancel(r.ctx, o.ID, "not meant"); err != nil {
		r.t.Fatal(err)
	}
}

// revive puts the command of an order back as it was.
func (r *robbery) revive(o order.Order, sealed []byte) {
	r.t.Helper()
	r.x.do(`UPDATE command SET pending = TRUE, deferred = FALSE, state = 'waiting', deliveries = 0, delivered_at = 0, answered_at = 0, error = '', sealed = $1 WHERE uuid = $2`, sealed, o.Targets[0].Command)
}

// asked returns an order that nobody has signed.
func (r *robbery) asked(k order.Kind, v victim) order.Order {
	r.t.Helper()
	o, err := r.Orders.Request(r.ctx, order.Request{Kind: k, Devices: []ward.DeviceID{v.id}, Reason: "theft"})
	if err != nil {
		r.t.Fatal(err)
	}
	return o
}

// approves writes an approval into the database.
func (r *robbery) approves(o order.Order, a approver.Approver, by approver.Assertion) {
	r.t.Helper()
	b, err := json.Marshal(by)
	if err != nil {
		r.t.Fatal(err)
	}
	r.x.do(`INSERT INTO order_approval (order_id, hash, person, name, subject, approver, assertion, glass, at) VALUES ($1, $2, $3, $4, $5, $6, $7, FALSE, 1)`,
		string(o.ID), o.Hash, string(a.Person), a.Name, a.Subject, a.ID, string(b))
}

// ready has an order be issued at once, as far as the tables say.
func (r *robbery) ready(o order.Order) {
	r.t.Helper()
	r.x.do(`UPDATE orders SET state = 'approved', due_at = 1 WHERE id = $1`, string(o.ID))
}

// orderAttempts write to the orders and to who may approve them.
func orderAttempts() []attempt {
	return []attempt{
		{name: "an order that nobody signed called approved", do: func(r *robbery) []victim {
			v := r.victim()
			r.ready(r.asked(order.Erase, v))
			return []victim{v}
		}},
		{name: "an order that one signed called approved", do: func(r *robbery) []victim {
			v := r.victim()
			o := r.asked(order.Erase, v)
			if _, err := r.signs(r.t, r.by[0], o.ID); err != nil {
				r.t.Fatal(err)
			}
			r.ready(o)
			return []victim{v}
		}},
		{name: "an order whose signature is there twice", do: func(r *robbery) []victim {
			v := r.victim()
			o := r.asked(order.Erase, v)
			once, err := r.signs(r.t, r.by[0], o.ID)
			if err != nil {
				r.t.Fatal(err)
			}
			r.approves(o, r.by[1].Approver, once.Approvals[0].Assertion)
			r.ready(o)
			return []victim{v}
		}},
		{name: "an order with the signatures of another", do: func(r *robbery) []victim {
			v, other := r.victim(), r.victim()
			good := r.signed(order.Erase, other)
			o := r.asked(order.Erase, v)
			for i, a := range good.Approvals {
				r.approves(o, r.by[i].Approver, a.Assertion)
			}
			r.ready(o)
			r.cancel(good)
			return []victim{v, other}
		}},
		{name: "another phone put into an order that cools off", do: func(r *robbery) []victim {
			v, other := r.victim(), r.victim()
			o := r.orders(r.t, r.by, order.Request{Kind: order.Erase, Devices: []ward.DeviceID{other.id}})
			if o.State != order.Approved {
				r.t.Fatalf("the order is %s", o.State)
			}
			r.retarget(o, v)
			r.x.do(`UPDATE orders SET due_at = 1 WHERE id = $1`, string(o.ID))
			return []victim{v, other}
		}},
		{name: "the cooling off cut short", silent: true, do: func(r *robbery) []victim {
			v := r.victim()
			o := r.orders(r.t, r.by, order.Request{Kind: order.Erase, Devices: []ward.DeviceID{v.id}})
			r.x.do(`UPDATE orders SET due_at = 1 WHERE id = $1`, string(o.ID))
			if _, err := r.Orders.Advance(r.ctx); err != nil {
				r.t.Fatal(err)
			}
			if o, err := r.Orders.Order(r.ctx, o.ID); err != nil || o.State != order.Approved {
				r.t.Errorf("the order is %s, %v; want it to wait as long as it had to", o.State, err)
			}
			r.cancel(o)
			return []victim{v}
		}},
		{name: "approvers who are only rows", do: func(r *robbery) []victim {
			v := r.victim()
			o := r.asked(order.Erase, v)
			for i := range 2 {
				key, err := approvertest.New(r.Approvers.RPID, r.Approvers.Origin)
				if err != nil {
					r.t.Fatal(err)
				}
				a := r.invented(key, i)
				r.approves(o, a, claim(r.t, key, a, o.Hash))
			}
			r.ready(o)
			return []victim{v}
		}},
		{name: "accounts of the thief called approvers", do: func(r *robbery) []victim {
			v := r.victim()
			o := r.asked(order.Erase, v)
			for i := range 2 {
				who := approvertest.Who{Person: ward.PersonID(fmt.Sprintf("thief-%d", i)), Roles: ward.Roles}
				p, err := approvertest.Register(context.WithoutCancel(r.t.Context()), r.Approvers, who)
				if err != nil {
					r.t.Fatal(err)
				}
				// The words of two approvers for a third stand there: they are copied.
				r.x.do(`INSERT INTO approver_vouch (approver_id, voucher_id, purpose, hash, nonce, client_data, authenticator_data, signature, at)
					SELECT $1, voucher_id, purpose, hash, nonce, client_data, authenticator_data, signature, at FROM approver_vouch WHERE approver_id = $2`, p.ID, r.by[2].ID)
				r.x.do(`UPDATE approver SET registered_at = 1 WHERE id = $1`, p.ID)
				if _, err := r.signs(r.t, p, o.ID); ward.KindOf(err) != ward.Forbidden {
					r.t.Errorf("who is an approver by SQL alone signed: %v", err)
				}
				r.approves(o, p.Approver, claim(r.t, p.Passkey, p.Approver, o.Hash))
			}
			r.ready(o)
			return []victim{v}
		}},
		{name: "an approver given the passkey of the thief", do: func(r *robbery) []victim {
			v := r.victim()
			o := r.asked(order.Erase, v)
			key, err := approvertest.New(r.Approvers.RPID, r.Approvers.Origin)
			if err != nil {
				r.t.Fatal(err)
			}
			stolen := r.by[2].Approver
			if _, err := r.signs(r.t, r.by[0], o.ID); err != nil {
				r.t.Fatal(err)
			}
			was := r.x.blob(`SELECT public_key FROM approver WHERE id = $1`, stolen.ID)
			r.x.do(`UPDATE approver SET public_key = $1 WHERE id = $2`, public(r, key), stolen.ID)
			r.approves(o, stolen, claim(r.t, key, stolen, o.Hash))
			r.ready(o)
			if _, err := r.Orders.Advance(r.ctx); err != nil {
				r.t.Fatal(err)
			}
			r.x.do(`UPDATE approver SET public_key = $1 WHERE id = $2`, was, stolen.ID)
			return []victim{v}
		}},
		{name: "an order made up as a whole", do: func(r *robbery) []victim {
			v := r.victim()
			r.inventOrder(v)
			return []victim{v}
		}},
	}
}

// retarget puts a phone in the place of the one that an order names, with the hash that fits.
func (r *robbery) retarget(o order.Order, v victim) {
	r.t.Helper()
	o.Targets[0].Device, o.Targets[0].Enrolment = v.id, v.e.ID
	hash, err := o.Digest()
	if err != nil {
		r.t.Fatal(err)
	}
	r.x.do(`UPDATE order_target SET device_id = $1, enrolment_id = $2 WHERE order_id = $3`, string(v.id), string(v.e.ID), string(o.ID))
	if r.x.pg { // a key of the approvals points to it
		tx, err := r.x.BeginTx(r.t.Context(), nil)
		if err != nil {
			r.t.Fatal(err)
		}
		for _, q := range []string{`ALTER TABLE order_approval DROP CONSTRAINT order_approval_order_id_hash_fkey`, `UPDATE orders SET hash = $1 WHERE id = $2`, `UPDATE order_approval SET hash = $1 WHERE order_id = $2`} {
			args := []any{hash, string(o.ID)}[:2*strings.Count(q, "$1")]
			if _, err := tx.ExecContext(r.t.Context(), q, args...); err != nil {
				r.t.Fatal(errors.Join(err, tx.Rollback()))
			}
		}
		if err := tx.Commit(); err != nil {
			r.t.Fatal(err)
		}
		return
	}
	r.x.do(`UPDATE orders SET hash = $1 WHERE id = $2`, hash, string(o.ID))
	r.x.do(`UPDATE order_approval SET hash = $1 WHERE order_id = $2`, hash, string(o.ID))
}

// public returns the public key of a passkey as Ward keeps it.
func public(r *robbery, key *approvertest.Passkey) []byte {
	r.t.Helper()
	ctx := context.WithoutCancel(r.t.Context())
	p := approvertest.Person{Passkey: key, Actor: ward.Actor{Person: "thief", Name: "Thief", Via: ward.ViaSession, Roles: ward.Roles}}
	secret, err := r.Approvers.Invite(ward.WithActor(ctx, ward.Actor{Name: "console", Via: ward.ViaConsole}), "thief", "thief", false)
	if err != nil {
		r.t.Fatal(err)
	}
	options, err := r.Approvers.BeginRegister(p.As(ctx), secret)
	if err != nil {
		r.t.Fatal(err)
	}
	response, err := key.Create(options)
	if err != nil {
		r.t.Fatal(err)
	}
	a, err := r.Approvers.FinishRegister(p.As(ctx), secret, response)
	if err != nil {
		r.t.Fatal(err)
	}
	r.x.do(`DELETE FROM approver WHERE id = $1`, a.ID) // a key stands there once
	return a.Key.Public
}

// invented writes an approver into the database who never registered.
func (r *robbery) invented(key *approvertest.Passkey, i int) approver.Approver {
	r.t.Helper()
	a := approver.Approver{
		ID: fmt.Sprintf("apr-invented%d", i), Person: ward.PersonID(fmt.Sprintf("invented-%d", i)), Subject: fmt.Sprintf("invented %d", i), Name: "Invented",
		Key: approver.Key{ID: key.ID(), Public: public(r, key)}, At: r.now(),
	}
	r.x.do(`INSERT INTO approver (id, person, subject, name, outside, key_id, public_key, counter, registered_at, hash, ended_at, ended_by) VALUES ($1, $2, $3, $4, FALSE, $5, $6, 0, 1, $7, 0, '')`,
		a.ID, string(a.Person), a.Subject, a.Name, a.Key.ID, a.Key.Public, r.by[0].Hash)
	return a
}

// claim is an assertion over an order's hash by a passkey, with a nonce of the thief's own.
func claim(t testing.TB, key *approvertest.Passkey, a approver.Approver, hash string) approver.Assertion {
	t.Helper()
	nonce := []byte("a nonce that nobody has given out")
	var response struct {
		Response struct {
			ClientDataJSON, AuthenticatorData, Signature base64URL
		}
	}
	if err := json.Unmarshal(key.SignChallenge(approver.Challenge(approver.ForOrder, hash, nonce)), &response); err != nil {
		t.Fatal(err)
	}
	return approver.Assertion{
		Approver: a.ID, Purpose: approver.ForOrder, Hash: hash, Nonce: nonce,
		ClientData: response.Response.ClientDataJSON, AuthenticatorData: response.Response.AuthenticatorData, Signature: response.Response.Signature, At: a.At,
	}
}

// inventOrder writes an order with its command into the database, as if it had been issued.
func (r *robbery) inventOrder(v victim) {
	r.t.Helper()
	good := r.asked(order.Erase, v)
	r.x.do(`INSERT INTO orders (id, kind, hash, reason, case_id, requested_by, requested_name, state, created_at, expires_at, closed_by, closed_name, closed_at, closed_reason, options, due_at)
		SELECT 'invented', kind, hash, reason, case_id, requested_by, requested_name, 'issued', created_at, expires_at, closed_by, closed_name, closed_at, closed_reason, options, 0 FROM orders WHERE id = $1`, string(good.ID))
	r.x.do(`INSERT INTO order_target (order_id, device_id, enrolment_id, name, outcome, command, delivered_at, answered_at, error, issued_at)
		SELECT 'invented', device_id, enrolment_id, name, 'waiting', 'INVENTED', 0, 0, '', 1 FROM order_target WHERE order_id = $1`, string(good.ID))
	for i, p := range r.by[:2] {
		r.x.do(`INSERT INTO order_approval (order_id, hash, person, name, subject, approver, assertion, glass, at) VALUES ('invented', $1, $2, 'x', $3, $4, '{}', $5, 1)`,
			good.Hash, string(p.Person), p.Subject, p.ID, i == 1)
	}
	r.x.queue("INVENTED", v.e.ID, "EraseDevice", naked(r.t, "INVENTED", "EraseDevice"), "invented", "")
}
