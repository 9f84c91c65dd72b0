package store

import (
	"context"
	"time"

	"github.com/wardmdm/ward/server/ca"
)

var _ ca.Orders = (*Certificates)(nil)

const acmeOrderColumns = `id, challenge, number, account, format, identifier, token, status, problem, key,
	attested_serial, attested_udid, attested_os, certificate, answered_at, created_at, expires_at`

func scanACMEOrder(r scanner) (o ca.Order, err error) {
	var answered, created, expires int64
	err = r.Scan(&o.ID, &o.Challenge, &o.Number, &o.Account, &o.Attested.Format, &o.Identifier, &o.Token, &o.Status, &o.Problem, &o.Key,
		&o.Attested.Serial, &o.Attested.UDID, &o.Attested.OS, &o.Certificate, &answered, &created, &expires)
	o.Answered, o.Created, o.Expires = fromMicros(answered), fromMicros(created), fromMicros(expires)
	return o, err
}

// InsertOrder meets ca.Orders.
func (s *Certificates) InsertOrder(ctx context.Context, o ca.Order) (bool, error) {
	n, err := s.db.exec(ctx, `INSERT INTO acme_order (`+acmeOrderColumns+`)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17) ON CONFLICT (challenge, number) DO NOTHING`,
		o.ID, o.Challenge, o.Number, o.Account, o.Attested.Format, o.Identifier, o.Token, string(o.Status), o.Problem, o.Key,
		o.Attested.Serial, o.Attested.UDID, o.Attested.OS, o.Certificate, micros(o.Answered), micros(o.Created), micros(o.Expires))
	return n == 1, err
}

// Order meets ca.Orders.
func (s *Certificates) Order(ctx context.Context, id string) (ca.Order, error) {
	o, err := scanACMEOrder(s.db.row(ctx, `SELECT `+acmeOrderColumns+` FROM acme_order WHERE id = $1`, id))
	return o, missing(err, "There is no order %s.", id)
}

// OrdersOf meets ca.Orders.
func (s *Certificates) OrdersOf(ctx context.Context, challenge string) ([]ca.Order, error) {
	rows, err := s.db.query(ctx, `SELECT `+acmeOrderColumns+` FROM acme_order WHERE challenge = $1 ORDER BY number`, challenge)
	return scanAll(rows, err, scanACMEOrder)
}

// ChangeOrder meets ca.Orders.
func (s *Certificates) ChangeOrder(ctx context.Context, o ca.Order, from ca.OrderStatus) (bool, error) {
	n, err := s.db.exec(ctx, `UPDATE acme_order SET status = $1, problem = $2, key = $3, attested_serial = $4, attested_udid = $5, attested_os = $6,
		certificate = $7, answered_at = $8 WHERE id = $9 AND status = $10`,
		string(o.Status), o.Problem, o.Key, o.Attested.Serial, o.Attested.UDID, o.Attested.OS, o.Certificate, micros(o.Answered), o.ID, string(from))
	return n == 1, err
}

// PurgeOrders meets ca.Orders.
func (s *Certificates) PurgeOrders(ctx context.Context, t, used time.Time) (int64, error) {
	var gone int64
	err := s.db.Do(ctx, func(ctx context.Context) error {
		orders, err := s.db.exec(ctx, `DELETE FROM acme_order WHERE created_at < $1`, micros(t))
		if err != nil {
			return err
		}
		nonces, err := s.db.exec(ctx, `DELETE FROM certificate_once WHERE bucket = $1 AND created_at < $2`, ca.NonceBucket, micros(used))
		gone = orders + nonces
		return err
	})
	return gone, err
}
