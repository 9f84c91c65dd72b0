package agent

import (
	"context"
	"crypto"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/wardmdm/ward"
)

// ErrNotEnrolled says that there is no enrolment to work with.
var ErrNotEnrolled = errors.New("not enrolled")

// Keeper keeps the enrolment with its key and certificate over restarts.
type Keeper interface {
	// Load returns the enrolment, or ErrNotEnrolled.
	Load(ctx context.Context) (*Enrolment, error)
	// Save replaces what is kept by e, wholly or not at all.
	Save(ctx context.Context, e *Enrolment) error
	// Drop forgets everything; to drop nothing is no error.
	Drop(ctx context.Context) error
}

// MemoryKeeper keeps an enrolment for the life of the process. The zero value is
// ready and safe for concurrent use.
type MemoryKeeper struct {
	mu sync.Mutex
	e  *Enrolment
}

// Load returns the enrolment, or ErrNotEnrolled.
func (k *MemoryKeeper) Load(context.Context) (*Enrolment, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.e == nil {
		return nil, ErrNotEnrolled
	}
	return k.e, nil
}

// Save keeps e.
func (k *MemoryKeeper) Save(_ context.Context, e *Enrolment) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.e = e
	return nil
}

// Drop forgets the enrolment.
func (k *MemoryKeeper) Drop(context.Context) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.e = nil
	return nil
}

// FileKeeper keeps an enrolment in one file that only its owner can read.
type FileKeeper struct {
	path string
	// Unwrap opens a key that stays in hardware, from what HardwareKey.Wrapped gave. Without
	// it an enrolment with such a key is kept but cannot be loaded.
	Unwrap func(wrapped []byte) (crypto.Signer, error)
}

// NewFileKeeper returns a keeper for the file enrolment.json in dir, which it makes
// with mode 0700 if it is missing.
func NewFileKeeper(dir string) (*FileKeeper, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("keep enrolment in %s: %w", dir, err)
	}
	return &FileKeeper{path: filepath.Join(dir, "enrolment.json")}, nil
}

// keptEnrolment is the file's form. Key and certificate are PEM.
type keptEnrolment struct {
	UDID        string `json:"udid"`
	EnrolmentID string `json:"enrollment_id,omitempty"`
	Profile     []byte `json:"profile"`
	Key         string `json:"key,omitempty"`
	Wrapped     []byte `json:"wrapped_key,omitempty"` // in place of Key
	Certificate string `json:"certificate"`
	Token       []byte `json:"token"`
	PushMagic   string `json:"push_magic"`
	Rights      int    `json:"rights"`
}

// Load reads the file. Errors other than ErrNotEnrolled mean that it is damaged.
func (k *FileKeeper) Load(context.Context) (*Enrolment, error) {
	b, err := os.ReadFile(k.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNotEnrolled
	}
	if err != nil {
		return nil, fmt.Errorf("load enrolment: %w", err)
	}
	var f keptEnrolment
	if err := json.Unmarshal(b, &f); err != nil {
		return nil, fmt.Errorf("load enrolment: %w", err)
	}
	e, err := k.open(f)
	if err != nil {
		return nil, fmt.Errorf("load enrolment: %w", err)
	}
	return e, nil
}

func (k *FileKeeper) open(f keptEnrolment) (*Enrolment, error) {
	p, err := ParseProfile(f.Profile)
	if err != nil {
		return nil, err
	}
	m, _, err := p.MDM()
	if err != nil {
		return nil, err
	}
	m.AccessRights &= ward.AccessRights(f.Rights) // they can only have shrunk since
	key, err := k.key(f)
	if err != nil {
		return nil, err
	}
	cb, _ := pem.Decode([]byte(f.Certificate))
	if cb == nil {
		return nil, errors.New("the certificate is missing")
	}
	cert, err := x509.ParseCertificate(cb.Bytes)
	if err != nil {
		return nil, err
	}
	return &Enrolment{UDID: f.UDID, EnrollmentID: f.EnrolmentID, Profile: p, MDM: m, Key: key, Certificate: cert, Token: f.Token, PushMagic: f.PushMagic}, nil
}

// key reads the key of f or has it opened.
func (k *FileKeeper) key(f keptEnrolment) (crypto.Signer, error) {
	if len(f.Wrapped) > 0 {
		if k.Unwrap == nil {
			return nil, errNoHardware
		}
		return k.Unwrap(f.Wrapped)
	}
	b, _ := pem.Decode([]byte(f.Key))
	if b == nil {
		return nil, errors.New("the key is missing")
	}
	key, err := x509.ParsePKCS8PrivateKey(b.Bytes)
	if err != nil {
		return nil, err
	}
	s, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("key is a %T", key)
	}
	return s, nil
}

// Save writes the file beside the old one and renames it into place.
func (k *FileKeeper) Save(_ context.Context, e *Enrolment) error {
	f := keptEnrolment{
		UDID: e.UDID, EnrolmentID: e.EnrollmentID, Profile: e.Profile.XML, Token: e.Token, PushMagic: e.PushMagic, Rights: int(e.MDM.AccessRights),
		Certificate: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: e.Certificate.Raw})),
	}
	if err := f.keep(e.Key); err != nil {
		return fmt.Errorf("save enrolment: %w", err)
	}
	b, err := json.Marshal(f)
	if err != nil {
		return fmt.Errorf("save enrolment: %w", err)
	}
	if err := writeFile(k.path, b); err != nil {
		return fmt.Errorf("save enrolment: %w", err)
	}
	return nil
}

// keep writes key into f, in the form that its hardware gives it if it stays there.
func (f *keptEnrolment) keep(key crypto.Signer) (err error) {
	if h, ok := key.(HardwareKey); ok {
		f.Wrapped, err = h.Wrapped()
		return err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	f.Key = string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	return nil
}

func writeFile(path string, b []byte) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".enrolment-*") // made with mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// Drop removes the file.
func (k *FileKeeper) Drop(context.Context) error {
	if err := os.Remove(k.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("drop enrolment: %w", err)
	}
	return nil
}
