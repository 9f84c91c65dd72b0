package store

import (
	"context"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/ca"
)

// Certificates is the record of certificates; it meets ca.Store.
type Certificates struct{ db *DB }

var _ ca.Store = (*Certificates)(nil)

// Certificates returns the record of certificates.
func (db *DB) Certificates() *Certificates { return &Certificates{db} }

const certificateColumns = `issuer, serial, hash, kind, invitation, device_id, enrolment_id, app, subject, not_before, not_after, der, renewed_from, revoked_at, reason, revoked_by,
	attested_format, attested_serial, attested_udid, attested_os`

func scanCertificate(r scanner) (c ca.Certificate, err error) {
	var before, after, revoked int64
	err = r.Scan(&c.Issuer, &c.Serial, &c.Hash, &c.Kind, &c.Invitation, &c.Device, &c.Enrolment, &c.App, &c.Subject,
		&before, &after, &c.DER, &c.RenewedFrom, &revoked, &c.Reason, &c.RevokedBy, &c.Attested.Format, &c.Attested.Serial, &c.Attested.UDID, &c.Attested.OS)
	c.NotBefore, c.NotAfter, c.RevokedAt = fromMicros(before), fromMicros(after), fromMicros(revoked)
	return c, err
}

// InsertCertificate meets ca.Record.
func (s *Certificates) InsertCertificate(ctx context.Context, c ca.Certificate) error {
	_, err := s.db.exec(ctx, `INSERT INTO certificate (`+certificateColumns+`)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20)`,
		c.Issuer, c.Serial, c.Hash, string(c.Kind), c.Invitation, string(c.Device), string(c.Enrolment), c.App, c.Subject,
		micros(c.NotBefore), micros(c.NotAfter), c.DER, c.RenewedFrom, micros(c.RevokedAt), int(c.Reason), c.RevokedBy,
		c.Attested.Format, c.Attested.Serial, c.Attested.UDID, c.Attested.OS)
	if duplicate(err) {
		return ward.Errorf(ward.Conflict, "The certificate %s is recorded already.", c.Serial).Because(err)
	}
	return err
}

// CertificateBySerial meets ca.Record.
func (s *Certificates) CertificateBySerial(ctx context.Context, serial string) (ca.Certificate, error) {
	c, err := scanCertificate(s.db.row(ctx, `SELECT `+certificateColumns+` FROM certificate WHERE serial = $1`, serial))
	return c, missing(err, "There is no certificate with the serial number %s.", serial)
}

// CertificateByHash meets ca.Record.
func (s *Certificates) CertificateByHash(ctx context.Context, hash string) (ca.Certificate, error) {
	c, err := scanCertificate(s.db.row(ctx, `SELECT `+certificateColumns+` FROM certificate WHERE hash = $1`, hash))
	return c, missing(err, "There is no certificate with the hash %s.", hash)
}

// CertificatesOfDevice meets ca.Record.
func (s *Certificates) CertificatesOfDevice(ctx context.Context, device ward.DeviceID) ([]ca.Certificate, error) {
	rows, err := s.db.query(ctx, `SELECT `+certificateColumns+` FROM certificate WHERE device_id = $1 AND device_id <> '' ORDER BY seq`, string(device))
	return scanAll(rows, err, scanCertificate)
}

// CertificatesOfInvitation meets ca.Record.
func (s *Certificates) CertificatesOfInvitation(ctx context.Context, invitation string) ([]ca.Certificate, error) {
	rows, err := s.db.query(ctx, `SELECT `+certificateColumns+` FROM certificate WHERE invitation = $1 AND invitation <> '' ORDER BY seq`, invitation)
	return scanAll(rows, err, scanCertificate)
}

// BindCertificate meets ca.Record.
func (s *Certificates) BindCertificate(ctx context.Context, hash string, device ward.DeviceID, enrolment ward.EnrolmentID) error {
	n, err := s.db.exec(ctx, `UPDATE certificate SET device_id = $1, enrolment_id = $2 WHERE hash = $3`, string(device), string(enrolment), hash)
	if err == nil && n == 0 {
		return ward.Errorf(ward.NotFound, "There is no certificate with the hash %s.", hash)
	}
	return err
}

// RevokeCertificate meets ca.Revocations.
func (s *Certificates) RevokeCertificate(ctx context.Context, serial string, r ca.Revocation) (ok bool, err error) {
	err = s.db.Do(ctx, func(ctx context.Context) error {
		n, err := s.db.exec(ctx, `UPDATE certificate SET revoked_at = $1, reason = $2, revoked_by = $3 WHERE serial = $4 AND revoked_at = 0`,
			micros(r.At), int(r.Reason), r.By, serial)
		if err != nil || n == 1 {
			ok = n == 1
			return err
		}
		_, err = s.CertificateBySerial(ctx, serial) // revoked before, or not there at all
		return err
	})
	return ok && err == nil, err
}

// RevokeApps meets ca.Revocations.
func (s *Certificates) RevokeApps(ctx context.Context, device ward.DeviceID, r ca.Revocation) (serials []string, err error) {
	err = s.db.Do(ctx, func(ctx context.Context) error {
		rows, err := s.db.query(ctx, `UPDATE certificate SET revoked_at = $1, reason = $2, revoked_by = $3
			WHERE device_id = $4 AND device_id <> '' AND kind IN ($5, $6) AND revoked_at = 0 AND not_after > $7 RETURNING serial`,
			micros(r.At), int(r.Reason), r.By, string(device), string(ca.KindApp), string(ca.KindNetwork), micros(r.At))
		serials, err = scanAll(rows, err, func(r scanner) (s string, err error) {
			return s, r.Scan(&s)
		})
		return err
	})
	if err != nil {
		return nil, err
	}
	return serials, nil
}

// RevokedAfter meets ca.Revocations. It reads an index only.
func (s *Certificates) RevokedAfter(ctx context.Context, issuer int, t time.Time) ([]ca.Revoked, error) {
	rows, err := s.db.query(ctx, `SELECT serial, revoked_at, reason FROM certificate WHERE revoked_at > 0 AND issuer = $1 AND not_after > $2`, issuer, micros(t))
	return scanAll(rows, err, func(r scanner) (v ca.Revoked, err error) {
		var at int64
		err = r.Scan(&v.Serial, &at, &v.Reason)
		v.At = fromMicros(at)
		return v, err
	})
}

// CRL meets ca.Revocations.
func (s *Certificates) CRL(ctx context.Context, issuer int) (c ca.CRL, err error) {
	var at int64
	err = s.db.row(ctx, `SELECT id, number, entries, der, made_at FROM certificate_list WHERE id = $1`, issuer).Scan(&c.Issuer, &c.Number, &c.Entries, &c.DER, &at)
	c.Made = fromMicros(at)
	return c, missing(err, "There is no revocation list of issuer %d yet.", issuer)
}

// ReplaceCRL meets ca.Revocations.
func (s *Certificates) ReplaceCRL(ctx context.Context, c ca.CRL, previous int64) (bool, error) {
	if previous == 0 {
		n, err := s.db.exec(ctx, `INSERT INTO certificate_list (id, number, entries, der, made_at) VALUES ($1, $2, $3, $4, $5) ON CONFLICT (id) DO NOTHING`,
			c.Issuer, c.Number, c.Entries, c.DER, micros(c.Made))
		return n == 1, err
	}
	n, err := s.db.exec(ctx, `UPDATE certificate_list SET number = $1, entries = $2, der = $3, made_at = $4 WHERE id = $5 AND number = $6`,
		c.Number, c.Entries, c.DER, micros(c.Made), c.Issuer, previous)
	return n == 1, err
}

// UseOnce meets ca.Once.
func (s *Certificates) UseOnce(ctx context.Context, bucket, key string, value []byte, at time.Time) (bool, error) {
	n, err := s.db.exec(ctx, `INSERT INTO certificate_once (bucket, key, value, created_at) VALUES ($1, $2, $3, $4) ON CONFLICT (bucket, key) DO NOTHING`,
		bucket, key, value, micros(at))
	return n == 1, err
}

// UsedOnce returns the value that UseOnce recorded; none is a *ward.Error of kind NotFound.
func (s *Certificates) UsedOnce(ctx context.Context, bucket, key string) (value []byte, err error) {
	err = s.db.row(ctx, `SELECT value FROM certificate_once WHERE bucket = $1 AND key = $2`, bucket, key).Scan(&value)
	return value, missing(err, "Nothing of that kind was recorded.")
}

// PurgeOnce meets ca.Once.
func (s *Certificates) PurgeOnce(ctx context.Context, t time.Time) (int64, error) {
	return s.db.exec(ctx, `DELETE FROM certificate_once WHERE created_at < $1`, micros(t))
}
