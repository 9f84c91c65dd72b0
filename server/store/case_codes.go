package store

import (
	"context"
	"fmt"
	"strconv"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/lost"
)

// SaveCode meets lost.Codes.
func (s Cases) SaveCode(ctx context.Context, c lost.Code) error {
	_, err := s.exec(ctx, `INSERT INTO recovery_code (device_id, hash, holder, made_at, made_by, sealed) VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (device_id) DO UPDATE SET hash = excluded.hash, holder = excluded.holder, made_at = excluded.made_at, made_by = excluded.made_by, sealed = excluded.sealed`,
		string(c.Device), c.Hash, c.Holder, micros(c.Made), string(c.By), s.secrets.Seal(nil, codePlace(c)...))
	return err
}

// codePlace binds the seal of a recovery code to all that is kept of it.
func codePlace(c lost.Code) []string {
	return []string{"recovery code", string(c.Device), c.Hash, c.Holder, strconv.FormatInt(micros(c.Made), 10), string(c.By)}
}

// CodeByHash meets lost.Codes. A row that fails its seal is no code: somebody wrote it past
// Ward.
func (s Cases) CodeByHash(ctx context.Context, hash string) (c lost.Code, err error) {
	const none = "There is no such recovery code."
	var made int64
	var sealed []byte
	err = s.row(ctx, `SELECT device_id, hash, holder, made_at, made_by, sealed FROM recovery_code WHERE hash = $1`, hash).Scan(&c.Device, &c.Hash, &c.Holder, &made, &c.By, &sealed)
	c.Made = fromMicros(made)
	if err != nil {
		return c, missing(err, none)
	}
	if _, err := s.secrets.Open(sealed, codePlace(c)...); err != nil {
		return lost.Code{}, ward.Errorf(ward.NotFound, none).Because(err)
	}
	return c, nil
}

// DropCode meets lost.Codes.
func (s Cases) DropCode(ctx context.Context, device ward.DeviceID) (bool, error) {
	n, err := s.exec(ctx, `DELETE FROM recovery_code WHERE device_id = $1`, string(device))
	return n > 0, err
}

// AddTries meets lost.Codes: the row that it writes stays locked until the unit of work
// ends.
func (s Cases) AddTries(ctx context.Context, key string, slot int64, n int) (total int, err error) {
	err = s.Do(ctx, func(ctx context.Context) error {
		return s.row(ctx, `INSERT INTO recovery_try (who, slot, tries) VALUES ($1, $2, $3)
			ON CONFLICT (who, slot) DO UPDATE SET tries = recovery_try.tries + excluded.tries RETURNING tries`, key, slot, n).Scan(&total)
	})
	if err != nil {
		return 0, fmt.Errorf("count tries: %w", err)
	}
	return total, nil
}

// DropTries meets lost.Codes.
func (s Cases) DropTries(ctx context.Context, slot int64) error {
	_, err := s.exec(ctx, `DELETE FROM recovery_try WHERE slot < $1`, slot)
	return err
}

// DevicesOf meets lost.Codes.
func (s Cases) DevicesOf(ctx context.Context, email string) ([]ward.Device, error) {
	rows, err := s.query(ctx, `SELECT `+deviceColumns+` FROM device WHERE LOWER(email) = LOWER($1) AND email <> '' ORDER BY created_at, id`, email)
	return scanAll(rows, err, func(r scanner) (ward.Device, error) { return scanDevice(r) })
}
