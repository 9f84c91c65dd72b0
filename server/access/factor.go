package access

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"strings"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"
	"github.com/pquerna/otp/totp"
	"github.com/wardmdm/ward"
)

// Factor is somebody's authenticator app.
type Factor struct {
	Secret    string    // base32; kept sealed
	Step      int64     // the last step of time whose code was used
	Confirmed time.Time // zero until the first right code
}

// Factors keeps second factors. Every method joins the unit of work in ctx.
type Factors interface {
	// Factor returns the app of a person, also one that is not confirmed, or NotFound.
	Factor(ctx context.Context, id ward.PersonID) (Factor, error)
	// SetFactor keeps an app in the place of another.
	SetFactor(ctx context.Context, id ward.PersonID, f Factor) error
	// UseStep notes that the code of a step was used, and reports whether it was not before.
	UseStep(ctx context.Context, id ward.PersonID, step int64) (bool, error)
	// RemoveFactors forgets the app and the recovery codes of a person.
	RemoveFactors(ctx context.Context, id ward.PersonID) error
	// SetRecovery keeps the hashes of a person's recovery codes in the place of others.
	SetRecovery(ctx context.Context, id ward.PersonID, hashes []string) error
	// TakeRecovery deletes a recovery code and reports whether there was one.
	TakeRecovery(ctx context.Context, id ward.PersonID, hash string) (bool, error)
}

const (
	totpPeriod    = 30 // seconds, as every authenticator app takes it
	totpSkew      = 1  // steps before and after
	recoveryCodes = 10
)

// own returns who acts, who must have signed in by a browser: what guards an account is
// changed there.
func own(ctx context.Context) (ward.Actor, error) {
	a := ward.ActorFrom(ctx)
	if a.Via == "" {
		return a, ward.Errorf(ward.Unauthenticated, "Sign in first.")
	}
	if a.Person == "" || a.Via != ward.ViaSession {
		return a, ward.Errorf(ward.Forbidden, "Only a person who has signed in by a browser can change how they sign in.")
	}
	return a, nil
}

// NewApp makes a secret for the authenticator app of the person in ctx and returns it, with
// the address that apps read from a QR code. It counts for nothing until ConfirmApp; the one
// of before works until then.
func (s *SignIn) NewApp(ctx context.Context) (secret, address string, err error) {
	a, err := own(ctx)
	if err != nil {
		return "", "", err
	}
	k, err := totp.Generate(totp.GenerateOpts{Issuer: s.Organisation, AccountName: a.Name, Period: totpPeriod, SecretSize: 20, Rand: rand.Reader})
	if err != nil {
		return "", "", err
	}
	return k.Secret(), k.URL(), nil
}

// AppAddress returns the address that apps read for a secret that NewApp made.
func (s *SignIn) AppAddress(ctx context.Context, secret string) (string, error) {
	a, err := own(ctx)
	if err != nil {
		return "", err
	}
	raw, err := totpSecret(secret)
	if err != nil {
		return "", err
	}
	k, err := totp.Generate(totp.GenerateOpts{Issuer: s.Organisation, AccountName: a.Name, Period: totpPeriod, Secret: raw, Rand: rand.Reader})
	if err != nil {
		return "", err
	}
	return k.URL(), nil
}

// ConfirmApp takes the first code of the app with the secret, keeps it, and returns recovery
// codes, which are shown this once.
func (s *SignIn) ConfirmApp(ctx context.Context, secret, code string) (codes []string, err error) {
	a, err := own(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := totpSecret(secret); err != nil {
		return nil, err
	}
	if err := s.access.attempt(ctx, hash("code "+string(a.Person))); err != nil {
		return nil, err
	}
	step, ok := s.match(secret, code)
	if !ok {
		return nil, ward.Errorf(ward.Invalid, "This is not the code that the app shows now. Check that the clock of the phone is right, and type the newest code.")
	}
	err = s.store.Do(ctx, func(ctx context.Context) error {
		if err := s.store.SetFactor(ctx, a.Person, Factor{Secret: secret, Step: step, Confirmed: s.now()}); err != nil {
			return err
		}
		if err := s.access.store.ClearAttempts(ctx, hash("code "+string(a.Person))); err != nil {
			return err
		}
		if codes, err = s.recovery(ctx, a.Person); err != nil {
			return err
		}
		return s.record(ctx, ActionFactorSet, a.Person, map[string]string{"kind": "authenticator app"})
	})
	if err != nil {
		return nil, err
	}
	return codes, nil
}

func totpSecret(secret string) ([]byte, error) {
	raw, err := base32Secret(secret)
	if err != nil || len(raw) != 20 {
		return nil, ward.Errorf(ward.Invalid, "The set-up of the app is not whole. Begin again.")
	}
	return raw, nil
}

// match returns the step of time whose code this is, one before and after now included.
func (s *SignIn) match(secret, code string) (step int64, ok bool) {
	code = strings.ReplaceAll(code, " ", "")
	now := s.now().Unix() / totpPeriod
	for _, step := range []int64{now, now - totpSkew, now + totpSkew} {
		want, err := hotp.GenerateCodeCustom(secret, uint64(step), hotp.ValidateOpts{Digits: otp.DigitsSix, Algorithm: otp.AlgorithmSHA1}) //nolint:gosec // steps are positive
		if err == nil && subtle.ConstantTimeCompare([]byte(want), []byte(code)) == 1 {
			return step, true
		}
	}
	return 0, false
}

// errCode is the one answer to every code that does not work.
func errCode() error {
	return ward.Errorf(ward.Unauthenticated, "This code is wrong or was used already. Type the newest code of your authenticator app, or one of your recovery codes.")
}

// Code checks the second step of signing in: a code of the person's authenticator app, or one
// of their recovery codes. Each works once. Wrong ones are counted as wrong passphrases are.
func (s *SignIn) Code(ctx context.Context, id ward.PersonID, code string) (How, error) {
	key := hash("code " + string(id))
	if err := s.access.attempt(ctx, key); err != nil {
		return "", err
	}
	how := How("")
	err := s.store.Do(ctx, func(ctx context.Context) (err error) {
		if how, err = s.useCode(ctx, id, code); err != nil || how == "" {
			return err
		}
		return s.access.store.ClearAttempts(ctx, key)
	})
	if err != nil {
		return "", err
	}
	if how == "" {
		if err := s.record(ward.WithActor(ctx, ward.System), ActionSignInFailed, id, map[string]string{"by": "code"}); err != nil {
			return "", err
		}
		return "", errCode()
	}
	return how, nil
}

func (s *SignIn) useCode(ctx context.Context, id ward.PersonID, code string) (How, error) {
	f, err := s.store.Factor(ctx, id)
	if ward.KindOf(err) == ward.NotFound {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	if f.Confirmed.IsZero() {
		return "", nil
	}
	if step, ok := s.match(f.Secret, code); ok {
		fresh, err := s.store.UseStep(ctx, id, step)
		if err != nil || !fresh {
			return "", err
		}
		return ByCode, nil
	}
	there, err := s.store.TakeRecovery(ctx, id, recoveryHash(id, code))
	if err != nil || !there {
		return "", err
	}
	return ByRecovery, nil
}

// recoveryHash is what is kept of a recovery code: it has 80 random bits, so a fast hash will
// do. How people write it, in groups or large letters, makes no difference.
func recoveryHash(id ward.PersonID, code string) string {
	code = strings.ToLower(strings.NewReplacer("-", "", " ", "").Replace(code))
	return hash("recovery " + string(id) + " " + code)
}

// recovery makes new recovery codes within a unit of work.
func (s *SignIn) recovery(ctx context.Context, id ward.PersonID) ([]string, error) {
	codes, hashes := make([]string, recoveryCodes), make([]string, recoveryCodes)
	for i := range codes {
		t := strings.ToLower(rand.Text())
		codes[i] = t[:4] + "-" + t[4:8] + "-" + t[8:12] + "-" + t[12:16]
		hashes[i] = recoveryHash(id, codes[i])
	}
	return codes, s.store.SetRecovery(ctx, id, hashes)
}

// NewRecovery makes new recovery codes for the person in ctx and returns them, which are shown
// this once; those of before stop working.
func (s *SignIn) NewRecovery(ctx context.Context) (codes []string, err error) {
	a, err := own(ctx)
	if err != nil {
		return nil, err
	}
	err = s.store.Do(ctx, func(ctx context.Context) error {
		f, err := s.store.Factor(ctx, a.Person)
		if err != nil || f.Confirmed.IsZero() {
			return ward.Errorf(ward.Conflict, "Set up an authenticator app first: recovery codes stand in for it.").Because(err)
		}
		if codes, err = s.recovery(ctx, a.Person); err != nil {
			return err
		}
		return s.record(ctx, ActionRecoveryMade, a.Person, nil)
	})
	return codes, err
}

// RemoveApp forgets the authenticator app of the person in ctx, with the recovery codes.
// Where a second factor is required, the last one stays.
func (s *SignIn) RemoveApp(ctx context.Context) error {
	a, err := own(ctx)
	if err != nil {
		return err
	}
	return s.store.Do(ctx, func(ctx context.Context) error {
		x, err := s.Account(ctx, a.Person)
		if err != nil {
			return err
		}
		if s.SecondFactor == FactorRequired && x.Passkeys == 0 {
			return ward.Errorf(ward.Conflict, "A second factor is required here. Add a passkey first, or set up another app in the place of this one.")
		}
		if err := s.store.RemoveFactors(ctx, a.Person); err != nil {
			return err
		}
		return s.record(ctx, ActionFactorRemoved, a.Person, map[string]string{"kind": "authenticator app"})
	})
}

// ResetFactors forgets every second factor of somebody who lost theirs, and ends their
// sessions: the next time their passphrase alone lets them in, and they set up a new one. It
// takes PersonWrite, and nobody resets their own.
func (s *SignIn) ResetFactors(ctx context.Context, id ward.PersonID) error {
	if err := Check(ctx, PersonWrite); err != nil {
		return err
	}
	if ward.ActorFrom(ctx).Person == id {
		return ward.Errorf(ward.Forbidden, "Nobody resets their own second factor. Another administrator can, or the operator on the server.")
	}
	return s.store.Do(ctx, func(ctx context.Context) error {
		if err := s.mayChange(ctx, id); err != nil {
			return err
		}
		if err := s.store.RemoveFactors(ctx, id); err != nil {
			return err
		}
		if err := s.store.RemovePasskeys(ctx, id); err != nil {
			return err
		}
		if _, err := s.store.EndSessions(ctx, id, ""); err != nil {
			return err
		}
		return s.record(ctx, ActionFactorReset, id, nil)
	})
}
