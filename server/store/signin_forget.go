package store

import (
	"context"
	"fmt"

	"github.com/wardmdm/ward"
)

// Forget deletes how a person signs in, their sessions, whom providers and directories know
// them as, and the filters that they saved.
func (s SignIn) Forget(ctx context.Context, id ward.PersonID) error {
	return s.Do(ctx, func(ctx context.Context) error {
		for _, q := range []string{
			`DELETE FROM session WHERE person_id = $1`,
			`DELETE FROM person_sign_in WHERE person_id = $1`,
			`DELETE FROM sign_in_totp WHERE person_id = $1`,
			`DELETE FROM sign_in_recovery WHERE person_id = $1`,
			`DELETE FROM sign_in_passkey WHERE person_id = $1`,
			`DELETE FROM directory_member WHERE user_id IN (SELECT u.id FROM directory_user u JOIN provided_person p ON p.provider = u.provider AND p.external_id = u.external_id
				WHERE p.person_id = $1 AND p.external_id <> '')`,
			`DELETE FROM directory_user WHERE id IN (SELECT u.id FROM directory_user u JOIN provided_person p ON p.provider = u.provider AND p.external_id = u.external_id
				WHERE p.person_id = $1 AND p.external_id <> '')`,
			`DELETE FROM provided_person WHERE person_id = $1`,
			`DELETE FROM saved_view WHERE person = $1`,
		} {
			if _, err := s.exec(ctx, q, string(id)); err != nil {
				return fmt.Errorf("forget how %s signs in: %w", id, err)
			}
		}
		return nil
	})
}
