package main

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// manyDevices is how many devices there are where the flag does not say.
const manyDevices = 100_000

// stranger is how often somebody asks whose certificate is in no record: once in so many.
const stranger = 50

// passSecret is the secret by which the measuring proxy passes certificates.
const passSecret = "0123456789abcdef0123456789abcdef"

// authorized measures the question whether a device may come in: at the rate that is
// asked for, and then as fast as the server answers. Nearly every question is about
// another device, so that little is remembered from the one before.
func authorized(ctx context.Context, p plan, at *place, say teller) (r report, err error) {
	r.Database = at.engine()
	b := &bench{plan: p, place: at, say: say, order: order{Config: at.config(p)}}
	c := &b.order.Config
	c.MDM.DeviceAuthorities, c.Authorize.SecretFile = nil, filepath.Join(at.dir, "authorize.secret")
	if err := os.WriteFile(c.Authorize.SecretFile, []byte(passSecret), 0o600); err != nil {
		return r, err
	}
	if b.child, err = startChild(ctx, b.order); err != nil { // it makes the tables
		return r, err
	}
	b.order.Config.Listen = b.child.Listen // devices keep the address for life
	if err := b.child.stop(); err != nil {
		return r, err
	}
	say("writing %d devices", p.devices)
	if err := at.populate(ctx, p.devices); err != nil {
		return r, err
	}
	if b.child, err = startChild(ctx, b.order); err != nil {
		return r, err
	}
	b.c = newClient(b.child.served, p.connections)
	for _, measured := range []struct {
		name string
		rate int
	}{{"", p.rate}, {fmt.Sprintf("authorize, %d a second", p.rate), p.rate}, {"authorize, as fast as it goes", 0}} {
		say("measuring: %s", measured.name)
		f := b.questions(ctx, measured.name, measured.rate)
		if measured.name != "" { // the first is to warm up
			r.Phases = append(r.Phases, f)
		}
	}
	r.ServerMemory, err = resident(b.child.pid())
	return r, join(err, b.close())
}

// questions asks for as long as the plan says, rate times a second or, if that is 0,
// without a pause.
func (b *bench) questions(ctx context.Context, name string, rate int) figures {
	ctx, cancel := context.WithTimeout(ctx, b.plan.length)
	defer cancel()
	notes := make([]notes, b.plan.connections)
	meter, err := b.begin(name)
	if err != nil {
		return figures{Name: name, Failures: 1, Failure: err.Error()}
	}
	askers := make([]*asker, len(notes))
	for w := range askers {
		if askers[w], err = newAsker(ctx, b.child.served); err != nil {
			return figures{Name: name, Failures: 1, Failure: err.Error()}
		}
		defer askers[w].close() //nolint:errcheck // every answer was read
	}
	header := b.order.Config.Authorize.Header
	begun := time.Now()
	var wg sync.WaitGroup
	for w := range notes {
		n, a := &notes[w], askers[w]
		wg.Go(func() {
			for k := 0; ctx.Err() == nil; k++ {
				start := time.Now()
				if rate > 0 {
					var ok bool
					if start, ok = turn(ctx, begun.Add(time.Second/time.Duration(rate)*time.Duration(k*len(notes)+w))); !ok {
						return
					}
				}
				err := a.ask(header, rand.IntN(b.plan.devices), rand.IntN(stranger) == 0) //nolint:gosec // which device is no secret
				n.add(start, err)
				if err != nil {
					return // the connection can't be used any more
				}
			}
		})
	}
	wg.Wait()
	f := meter.end(name, notes)
	f.Devices = b.plan.devices
	return f
}

// turn waits until a question is due, and returns when its time begins to count: when it
// was due if whoever asks was still busy then, for that is the server's doing; else when
// the timer let it go, for timers are late by themselves.
func turn(ctx context.Context, due time.Time) (time.Time, bool) {
	wait := time.Until(due)
	if wait <= 0 {
		return due, true
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-t.C:
		return time.Now(), true
	case <-ctx.Done():
		return due, false
	}
}

// loadApp is the app whose certificates are asked about.
const loadApp = "org.example.load"

func loadDevice(i int) string { return fmt.Sprintf("dev_load%08d", i) }

// certificateOf returns what stands for the DER of a device's certificate: Ward knows its
// certificates by their hash. It is as long as one of Ward's own.
func certificateOf(i int) []byte {
	der := make([]byte, 1100)
	source := rand.New(rand.NewPCG(uint64(i), 1)) //nolint:gosec // the same number has to give the same bytes
	for k := 0; k+8 <= len(der); k += 8 {
		binary.LittleEndian.PutUint64(der[k:], source.Uint64())
	}
	der[0] = 0x30
	return der
}

// populate writes devices that comply straight into the database of a server that is not
// running, each with an enrolment and an app's certificate.
func (at *place) populate(ctx context.Context, n int) (err error) {
	driver, address := "pgx", at.database
	if address == "" {
		driver, address = "sqlite", "file:"+filepath.Join(at.dir, "server", "ward.db")
	}
	db, err := sql.Open(driver, address)
	if err != nil {
		return err
	}
	db.SetMaxOpenConns(1)
	defer func() { err = join(err, db.Close()) }()
	for from := 0; from < n; from += 5000 {
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		for i := from; i < min(from+5000, n); i++ {
			if err := writeDevice(ctx, tx, i); err != nil {
				return join(fmt.Errorf("write %s: %w", loadDevice(i), err), tx.Rollback())
			}
		}
		if err := tx.Commit(); err != nil {
			return err
		}
	}
	if driver == "pgx" { // as autovacuum does in a database that grew by itself
		_, err = db.ExecContext(ctx, "VACUUM ANALYZE")
	}
	return err
}

func writeDevice(ctx context.Context, tx *sql.Tx, i int) error {
	now := time.Now()
	id, enrolment, der := loadDevice(i), fmt.Sprintf("enr_load%08d", i), certificateOf(i)
	sum := sha256.Sum256(der)
	for _, s := range []struct {
		text string
		args []any
	}{
		{
			`INSERT INTO device (id, serial, name, platform, model, os_version, ownership, grp, owner, email, state, reenrol, generation, check_at, created_at)
			VALUES ($1, $2, $3, 'ios', 'iPhone15,4', '18.6', 'corporate', 'Ward 7', 'Ada', 'ada@hospital.example', 'managed', FALSE, $4, 0, $5)`,
			[]any{id, fmt.Sprintf("LOAD%08d", i), fmt.Sprintf("Phone %d", i), int64(1) << 40, now.UnixMicro()},
		},
		{
			`INSERT INTO enrolment (id, channel, parent, kind, epoch, latest, device_id, state, serial, supervised, rights, invitation, topic, push_token, push_magic, push_dead_at, tally, created_at, enrolled_at, ended_at, end_reason)
			VALUES ($1, $2, '', 'Device', 1, TRUE, $3, 'active', '', 'supervised', 8191, '', 'topic', 'token', 'magic', 0, 1, $4, $4, 0, '')`,
			[]any{enrolment, fmt.Sprintf("LOAD-%08d", i), id, now.UnixMicro()},
		},
		{
			`INSERT INTO certificate (serial, hash, kind, invitation, device_id, enrolment_id, app, subject, not_before, not_after, der, renewed_from, revoked_at, reason, revoked_by)
			VALUES ($1, $2, 'app', '', $3, $4, $5, 'CN=load', $6, $7, $8, '', 0, 0, '')`,
			[]any{fmt.Sprint(1_000_000_000 + i), hex.EncodeToString(sum[:]), id, enrolment, loadApp, now.Add(-time.Hour).UnixMicro(), now.AddDate(0, 0, 7).UnixMicro(), der},
		},
		{`INSERT INTO verdict (device_id, state, code, until_at, then_state, then_code) VALUES ($1, 'compliant', '', $2, '', '')`, []any{id, now.AddDate(0, 0, 1).UnixMicro()}},
	} {
		if _, err := tx.ExecContext(ctx, s.text, s.args...); err != nil {
			return err
		}
	}
	return nil
}
