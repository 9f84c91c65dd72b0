package audit

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/seal"
)

// saltSize is long enough that a commitment cannot be guessed from likely content.
const saltSize = 32

// leaf is what the tree holds of an entry. Its JSON, in this order of fields, is the
// canonical text.
type leaf struct {
	Version int    `json:"v"`
	At      string `json:"at"`
	Action  string `json:"action"`
	Who     string `json:"who"`
	What    string `json:"what"`
}

func (l leaf) text() (string, error) {
	b, err := json.Marshal(l)
	return string(b), err
}

// whoPart is the personal data of the actor.
type whoPart struct {
	Person ward.PersonID `json:"person,omitempty"`
	Name   string        `json:"name,omitempty"`
	Via    ward.Via      `json:"via"`
	Token  string        `json:"token,omitempty"`
	Device ward.DeviceID `json:"device,omitempty"`
}

// whatPart is what the deed was done to.
type whatPart struct {
	Subject string            `json:"subject,omitempty"`
	Person  ward.PersonID     `json:"person,omitempty"`
	Detail  map[string]string `json:"detail,omitempty"`
}

// opened is a part that could be read: commitment = SHA-256(salt || text).
type opened struct {
	salt []byte
	text []byte
}

func commit(salt, text []byte) string {
	h := sha256.New()
	h.Write(salt)
	h.Write(text)
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil))
}

// sealPart seals v under the key of person and returns its commitment.
func (s *Service) sealPart(ctx context.Context, person ward.PersonID, v any) (Part, string, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return Part{}, "", err
	}
	id, box, err := s.personBox(ctx, person)
	if err != nil {
		return Part{}, "", err
	}
	salt := make([]byte, saltSize, saltSize+len(text))
	rand.Read(salt)
	commitment := commit(salt, text)
	return Part{Key: id, Sealed: box.Seal(append(salt, text...), commitment)}, commitment, nil
}

// personBox returns the box of person with the id of its key, making a key for one
// who has none.
func (s *Service) personBox(ctx context.Context, person ward.PersonID) (string, *seal.Box, error) {
	if person == "" {
		return "", s.box, nil
	}
	k, err := s.store.PersonKey(ctx, person)
	if ward.KindOf(err) == ward.NotFound {
		var secret [32]byte
		rand.Read(secret[:])
		id := rand.Text()
		if err := s.store.AddPersonKey(ctx, person, PersonKey{id, s.keys.Seal(secret[:], id)}); err != nil {
			return "", nil, fmt.Errorf("key of person %s: %w", person, err)
		}
		k, err = s.store.PersonKey(ctx, person) // another copy of the server may have been first
	}
	if err != nil {
		return "", nil, fmt.Errorf("key of person %s: %w", person, err)
	}
	box, err := s.openKey(k)
	return k.ID, box, err
}

func (s *Service) openKey(k PersonKey) (*seal.Box, error) {
	secret, err := s.keys.Open(k.Sealed, k.ID)
	if err != nil {
		return nil, fmt.Errorf("person key %s: %w", k.ID, err)
	}
	return seal.NewBox(secret)
}

// errErased says that the key of a part is gone; errDamaged that its row was altered.
var (
	errErased  = errors.New("the key is deleted")
	errDamaged = errors.New("the stored part is not the one that was committed to")
)

// gone reports that a part can't be shown, for either reason.
func gone(err error) bool { return errors.Is(err, errErased) || errors.Is(err, errDamaged) }

// boxes keeps the keys that one listing has opened; nil stands for a deleted key.
type boxes map[string]*seal.Box

// open reads a part and checks it against its commitment.
func (s *Service) open(ctx context.Context, have boxes, p Part, commitment string) (opened, error) {
	box, ok := have[p.Key]
	if !ok {
		var err error
		if box, err = s.boxByID(ctx, p.Key); err != nil {
			return opened{}, err
		}
		have[p.Key] = box
	}
	if box == nil {
		return opened{}, errErased
	}
	b, err := box.Open(p.Sealed, commitment)
	if err != nil || len(b) < saltSize {
		return opened{}, errDamaged
	}
	o := opened{b[:saltSize], b[saltSize:]}
	if commit(o.salt, o.text) != commitment {
		return opened{}, errDamaged
	}
	return o, nil
}

// boxByID returns the box of a key, nil if the key is deleted, and errDamaged if the
// key itself was altered.
func (s *Service) boxByID(ctx context.Context, id string) (*seal.Box, error) {
	if id == "" {
		return s.box, nil
	}
	k, err := s.store.KeyByID(ctx, id)
	if ward.KindOf(err) == ward.NotFound {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("person key %s: %w", id, err)
	}
	box, err := s.openKey(k)
	if errors.Is(err, seal.ErrForged) {
		return nil, errDamaged
	}
	return box, err
}

// ActionForgotten is recorded by ForgetPerson.
const ActionForgotten = "audit.person-forgotten"

// ForgetPerson deletes the key of person: what the log says of them as actor and as
// subject can never be read again, while the tree still verifies. A later deed of the
// same person begins a new key. It returns how many parts were made unreadable, and
// a *ward.Error of kind NotFound if the log holds nothing of the person. Backups keep
// the key until they expire.
func (s *Service) ForgetPerson(ctx context.Context, person ward.PersonID) (parts int64, err error) {
	err = s.store.Do(ctx, func(ctx context.Context) error {
		var id string
		if id, parts, err = s.store.DeletePersonKey(ctx, person); err != nil {
			return err
		}
		// The key's random id still stands on the parts, so it says which were erased and
		// not whose they were.
		return s.Record(ctx, Entry{Action: ActionForgotten, Detail: map[string]string{"key": id, "parts": fmt.Sprint(parts)}})
	})
	return parts, err
}
