package store

import (
	"context"
	"encoding/base64"
	"fmt"
	"strings"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/access"
)

// SignIn keeps how people sign in beyond a passphrase, and whose the sessions are.
type SignIn struct{ *DB }

// SignIn returns the store of signing in.
func (db *DB) SignIn() SignIn { return SignIn{db} }

var _ access.SignInStore = SignIn{}

// sealText seals a text for a column of text, "" stays "".
func (db *DB) sealText(plain string, place ...string) string {
	if plain == "" {
		return ""
	}
	return base64.StdEncoding.EncodeToString(db.secrets.Seal([]byte(plain), place...))
}

// openText is the inverse of sealText.
func (db *DB) openText(sealed string, place ...string) (string, error) {
	if sealed == "" {
		return "", nil
	}
	b, err := base64.StdEncoding.DecodeString(sealed)
	if err == nil {
		b, err = db.secrets.Open(b, place...)
	}
	if err != nil {
		return "", fmt.Errorf("%s: %w", strings.Join(place, " "), err)
	}
	return string(b), nil
}

// Accounts meets access.Accounts.
func (s SignIn) Accounts(ctx context.Context, ids ...ward.PersonID) (map[ward.PersonID]access.Account, error) {
	out := make(map[ward.PersonID]access.Account, len(ids))
	for _, id := range ids {
		a := access.Account{Person: id}
		var last int64
		var providers string
		err := s.row(ctx, `SELECT COALESCE((SELECT last_at FROM person_sign_in WHERE person_id = $1), 0),
			COALESCE((SELECT last_how FROM person_sign_in WHERE person_id = $1), ''),
			COALESCE((SELECT break_glass FROM person_sign_in WHERE person_id = $1), FALSE),
			EXISTS (SELECT 1 FROM sign_in_totp WHERE person_id = $1 AND confirmed_at > 0),
			(SELECT COUNT(*) FROM sign_in_passkey WHERE person_id = $1),
			(SELECT COUNT(*) FROM sign_in_recovery WHERE person_id = $1),
			COALESCE((SELECT MIN(provider) FROM provided_person WHERE person_id = $1), '')`, string(id)).
			Scan(&last, &a.LastHow, &a.BreakGlass, &a.App, &a.Passkeys, &a.Recovery, &providers)
		if err != nil {
			return nil, fmt.Errorf("account of %s: %w", id, err)
		}
		a.Last = fromMicros(last)
		if providers != "" {
			a.Providers = []string{providers}
		}
		out[id] = a
	}
	return out, nil
}

// SignedIn meets access.Accounts.
func (s SignIn) SignedIn(ctx context.Context, id ward.PersonID, at time.Time, how string) error {
	_, err := s.exec(ctx, `INSERT INTO person_sign_in (person_id, last_at, last_how, break_glass) VALUES ($1, $2, $3, FALSE)
		ON CONFLICT (person_id) DO UPDATE SET last_at = excluded.last_at, last_how = excluded.last_how`, string(id), micros(at), how)
	return err
}

// SetBreakGlass meets access.Accounts.
func (s SignIn) SetBreakGlass(ctx context.Context, id ward.PersonID, may bool) error {
	_, err := s.exec(ctx, `INSERT INTO person_sign_in (person_id, last_at, last_how, break_glass) VALUES ($1, 0, '', $2)
		ON CONFLICT (person_id) DO UPDATE SET break_glass = excluded.break_glass`, string(id), may)
	return err
}

// Factor meets access.Factors.
func (s SignIn) Factor(ctx context.Context, id ward.PersonID) (f access.Factor, err error) {
	var sealed []byte
	var confirmed int64
	err = s.row(ctx, `SELECT secret, used_step, confirmed_at FROM sign_in_totp WHERE person_id = $1`, string(id)).Scan(&sealed, &f.Step, &confirmed)
	if err != nil {
		return f, missing(err, "This person has no authenticator app.")
	}
	plain, err := s.secrets.Open(sealed, "authenticator app", string(id))
	if err != nil {
		return f, fmt.Errorf("authenticator app of %s: %w", id, err)
	}
	f.Secret, f.Confirmed = string(plain), fromMicros(confirmed)
	return f, nil
}

// SetFactor meets access.Factors.
func (s SignIn) SetFactor(ctx context.Context, id ward.PersonID, f access.Factor) error {
	_, err := s.exec(ctx, `INSERT INTO sign_in_totp (person_id, secret, used_step, confirmed_at) VALUES ($1, $2, $3, $4)
		ON CONFLICT (person_id) DO UPDATE SET secret = excluded.secret, used_step = excluded.used_step, confirmed_at = excluded.confirmed_at`,
		string(id), s.secrets.Seal([]byte(f.Secret), "authenticator app", string(id)), f.Step, micros(f.Confirmed))
	return err
}

// UseStep meets access.Factors. Of several requests at once, one finds the step unused.
func (s SignIn) UseStep(ctx context.Context, id ward.PersonID, step int64) (bool, error) {
	n, err := s.exec(ctx, `UPDATE sign_in_totp SET used_step = $1 WHERE person_id = $2 AND used_step < $1`, step, string(id))
	return n == 1, err
}

// RemoveFactors meets access.Factors.
func (s SignIn) RemoveFactors(ctx context.Context, id ward.PersonID) error {
	return s.Do(ctx, func(ctx context.Context) error {
		if _, err := s.exec(ctx, `DELETE FROM sign_in_totp WHERE person_id = $1`, string(id)); err != nil {
			return err
		}
		_, err := s.exec(ctx, `DELETE FROM sign_in_recovery WHERE person_id = $1`, string(id))
		return err
	})
}

// SetRecovery meets access.Factors.
func (s SignIn) SetRecovery(ctx context.Context, id ward.PersonID, hashes []string) error {
	return s.Do(ctx, func(ctx context.Context) error {
		if _, err := s.exec(ctx, `DELETE FROM sign_in_recovery WHERE person_id = $1`, string(id)); err != nil {
			return err
		}
		for _, h := range hashes {
			if _, err := s.exec(ctx, `INSERT INTO sign_in_recovery (person_id, hash) VALUES ($1, $2)`, string(id), h); err != nil {
				return err
			}
		}
		return nil
	})
}

// TakeRecovery meets access.Factors.
func (s SignIn) TakeRecovery(ctx context.Context, id ward.PersonID, hash string) (bool, error) {
	n, err := s.exec(ctx, `DELETE FROM sign_in_recovery WHERE person_id = $1 AND hash = $2`, string(id), hash)
	return n == 1, err
}

const passkeyColumns = `key_id, person_id, name, public_key, counter, created_at, used_at` //nolint:gosec // names of columns

func scanPasskey(r scanner) (k access.Passkey, err error) {
	var created, used int64
	err = r.Scan(&k.ID, &k.Person, &k.Name, &k.Public, &k.Counter, &created, &used)
	k.Created, k.Used = fromMicros(created), fromMicros(used)
	return k, err
}

// AddPasskey meets access.Passkeys.
func (s SignIn) AddPasskey(ctx context.Context, k access.Passkey) error {
	_, err := s.exec(ctx, `INSERT INTO sign_in_passkey (`+passkeyColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
		k.ID, string(k.Person), k.Name, k.Public, int64(k.Counter), micros(k.Created), micros(k.Used))
	if duplicate(err) {
		return ward.Errorf(ward.Conflict, "This passkey is set up already. Use another one.").Because(err)
	}
	return err
}

// Passkey meets access.Passkeys.
func (s SignIn) Passkey(ctx context.Context, id string) (access.Passkey, error) {
	k, err := scanPasskey(s.row(ctx, `SELECT `+passkeyColumns+` FROM sign_in_passkey WHERE key_id = $1`, id))
	return k, missing(err, "There is no such passkey.")
}

// PasskeysOf meets access.Passkeys.
func (s SignIn) PasskeysOf(ctx context.Context, p ward.PersonID) ([]access.Passkey, error) {
	rows, err := s.query(ctx, `SELECT `+passkeyColumns+` FROM sign_in_passkey WHERE person_id = $1 ORDER BY created_at, key_id`, string(p))
	return scanAll(rows, err, scanPasskey)
}

// UsePasskey meets access.Passkeys.
func (s SignIn) UsePasskey(ctx context.Context, id string, counter uint32, at time.Time) error {
	_, err := s.exec(ctx, `UPDATE sign_in_passkey SET counter = $1, used_at = $2 WHERE key_id = $3`, int64(counter), micros(at), id)
	return err
}

// RemovePasskey meets access.Passkeys.
func (s SignIn) RemovePasskey(ctx context.Context, p ward.PersonID, id string) error {
	n, err := s.exec(ctx, `DELETE FROM sign_in_passkey WHERE person_id = $1 AND key_id = $2`, string(p), id)
	if err == nil && n == 0 {
		return ward.Errorf(ward.NotFound, "There is no such passkey.")
	}
	return err
}

// RemovePasskeys meets access.Passkeys.
func (s SignIn) RemovePasskeys(ctx context.Context, p ward.PersonID) error {
	_, err := s.exec(ctx, `DELETE FROM sign_in_passkey WHERE person_id = $1`, string(p))
	return err
}
