package store

import (
	"context"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/access"
)

const sessionColumns = `id, person_id, how, provider, subject, provider_session, address, browser, begun_at, seen_at, refresh, checked_at, answered_at`

func (s SignIn) scanSession(r scanner) (x access.Session, err error) {
	var begun, seen, checked, answered int64
	if err = r.Scan(&x.ID, &x.Person, &x.How, &x.Provider, &x.Subject, &x.ProviderSession, &x.Address, &x.Browser, &begun, &seen, &x.Refresh, &checked, &answered); err != nil {
		return x, err
	}
	x.Begun, x.Seen, x.Checked, x.Answered = fromMicros(begun), fromMicros(seen), fromMicros(checked), fromMicros(answered)
	x.Refresh, err = s.openText(x.Refresh, "refresh token", x.ID)
	return x, err
}

// SessionsOf meets access.Sessions.
func (s SignIn) SessionsOf(ctx context.Context, p ward.PersonID, since time.Time) ([]access.Session, error) {
	rows, err := s.query(ctx, `SELECT `+sessionColumns+` FROM session WHERE person_id = $1 AND person_id <> '' AND expires_at > $2 AND seen_at >= $3 ORDER BY begun_at DESC, id LIMIT 200`,
		string(p), micros(s.now()), micros(since))
	return scanAll(rows, err, s.scanSession)
}

// Session meets access.Sessions.
func (s SignIn) Session(ctx context.Context, id string) (access.Session, error) {
	x, err := s.scanSession(s.row(ctx, `SELECT `+sessionColumns+` FROM session WHERE id = $1 AND id <> '' AND expires_at > $2`, id, micros(s.now())))
	return x, missing(err, "There is no session %.60s. It may have ended.", id)
}

// EndSession meets access.Sessions.
func (s SignIn) EndSession(ctx context.Context, id string) error {
	_, err := s.exec(ctx, `DELETE FROM session WHERE id = $1 AND id <> ''`, id)
	return err
}

// EndSessions meets access.Sessions.
func (s SignIn) EndSessions(ctx context.Context, p ward.PersonID, but string) (int, error) {
	n, err := s.exec(ctx, `DELETE FROM session WHERE person_id = $1 AND person_id <> '' AND id <> $2`, string(p), but)
	return int(n), err
}

// ProvidedSessions meets access.Sessions.
func (s SignIn) ProvidedSessions(ctx context.Context, provider string, before time.Time, limit int) ([]access.Session, error) {
	rows, err := s.query(ctx, `SELECT `+sessionColumns+` FROM session WHERE provider = $1 AND provider <> '' AND checked_at < $2 AND expires_at > $3 ORDER BY checked_at, id LIMIT $4`,
		provider, micros(before), micros(s.now()), limit)
	return scanAll(rows, err, s.scanSession)
}

// SessionsFor meets access.Sessions.
func (s SignIn) SessionsFor(ctx context.Context, provider, subject, providerSession string) ([]access.Session, error) {
	if providerSession != "" {
		rows, err := s.query(ctx, `SELECT `+sessionColumns+` FROM session WHERE provider = $1 AND provider <> '' AND provider_session = $2 AND ($3 = '' OR subject = $3) ORDER BY id`, provider, providerSession, subject)
		return scanAll(rows, err, s.scanSession)
	}
	rows, err := s.query(ctx, `SELECT `+sessionColumns+` FROM session WHERE provider = $1 AND provider <> '' AND subject = $2 AND subject <> '' ORDER BY id`, provider, subject)
	return scanAll(rows, err, s.scanSession)
}

// SessionChecked meets access.Sessions.
func (s SignIn) SessionChecked(ctx context.Context, x access.Session) error {
	_, err := s.exec(ctx, `UPDATE session SET refresh = $1, checked_at = $2, answered_at = $3 WHERE id = $4 AND id <> ''`,
		s.sealText(x.Refresh, "refresh token", x.ID), micros(x.Checked), micros(x.Answered), x.ID)
	return err
}
