// Package notice keeps who has read what the organisation tells staff about the management of
// their devices: which text, and when. It writes no text and shows none.
package notice

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/wardmdm/ward"
)

// ActionAcknowledged is what the audit log calls an acknowledgement. Its subject is the
// person.
const ActionAcknowledged = "notice.acknowledged"

// Acknowledgement says that a person has read a text.
type Acknowledgement struct {
	Person  ward.PersonID
	Name    string // as it was then
	Email   string // likewise
	Version string // of the text
	At      time.Time
}

// Version is a text that was put to people.
type Version struct {
	ID    string // see VersionOf
	Text  string
	First time.Time // when it was first acknowledged
	Count int       // by how many people
}

// Store keeps acknowledgements. Methods join the unit of work in ctx.
type Store interface {
	Do(ctx context.Context, fn func(ctx context.Context) error) error
	// Acknowledge keeps one and its text, and reports false if it is kept already.
	Acknowledge(ctx context.Context, a Acknowledgement, text string) (bool, error)
	// Acknowledged returns when a person acknowledged a version; zero if they did not.
	Acknowledged(ctx context.Context, person ward.PersonID, version string) (time.Time, error)
	// Acknowledgements returns all of a version, the newest first; of every version for "".
	Acknowledgements(ctx context.Context, version string) ([]Acknowledgement, error)
	// Versions returns every text that somebody acknowledged, the newest first.
	Versions(ctx context.Context) ([]Version, error)
	// Forget deletes the acknowledgements of a person and returns how many there were.
	Forget(ctx context.Context, person ward.PersonID) (int64, error)
}

// Recorder writes the audit log in the unit of work in ctx.
type Recorder interface {
	Record(ctx context.Context, action, subject string, detail map[string]string) error
}

// Service keeps acknowledgements.
type Service struct {
	Store  Store
	Record Recorder
	Now    func() time.Time
}

// VersionOf names a text by its content: a text that changes is another version.
func VersionOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:8])
}

// Acknowledge notes that the person who acts has read the text. version is that of the text
// they were shown: if the text has changed since it is a Conflict. Doing it again changes
// nothing.
func (s *Service) Acknowledge(ctx context.Context, email, version, text string) error {
	a := ward.ActorFrom(ctx)
	if a.Person == "" {
		return ward.Errorf(ward.Unauthenticated, "Sign in first.")
	}
	if VersionOf(text) != version {
		return ward.Errorf(ward.Conflict, "The notice has changed since you opened this page. Read it again below.")
	}
	return s.Store.Do(ctx, func(ctx context.Context) error {
		fresh, err := s.Store.Acknowledge(ctx, Acknowledgement{a.Person, a.Name, email, version, s.Now().UTC()}, text)
		if err != nil || !fresh {
			return err
		}
		if err := s.Record.Record(ctx, ActionAcknowledged, string(a.Person), map[string]string{"version": version}); err != nil {
			return fmt.Errorf("acknowledge notice: %w", err)
		}
		return nil
	})
}

// Acknowledged returns when a person acknowledged a version; zero if they did not.
func (s *Service) Acknowledged(ctx context.Context, person ward.PersonID, version string) (time.Time, error) {
	return s.Store.Acknowledged(ctx, person, version)
}

// AcknowledgedBy returns who acknowledged a version of the notice, the newest first; whoever
// acknowledged any for "".
func (s *Service) AcknowledgedBy(ctx context.Context, version string) ([]Acknowledgement, error) {
	return s.Store.Acknowledgements(ctx, version)
}

// Versions returns every text that somebody acknowledged, the newest first.
func (s *Service) Versions(ctx context.Context) ([]Version, error) { return s.Store.Versions(ctx) }
