package approver

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"github.com/wardmdm/ward"
)

// maxRootFile bounds the file that is read.
const maxRootFile = 4 << 20

// rootVersion is the version of the file's form.
const rootVersion = 1

// FileRoot returns the root of trust that is kept in the file at path, which need not be
// there yet. It is read anew whenever it changed, so that several copies of the server see
// what one of them, or the operator, did.
func FileRoot(path string) *File { return &File{path: path} }

// File is a root of trust in a file. Its methods may be called by several goroutines.
type File struct {
	path string

	mu   sync.Mutex
	seen fs.FileInfo // of what was read last; nil while there was no file
	kept Trusted
}

var _ Root = (*File)(nil)

// Read meets Root. A file that others may read, or that holds what is not expected, is a
// *ward.Error of kind Unavailable that names the file and the cure.
func (f *File) Read(context.Context) (Trusted, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.read(false)
}

// read returns what is in the file, from memory unless the file changed or anew is set.
func (f *File) read(anew bool) (Trusted, error) {
	info, err := os.Lstat(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		f.seen, f.kept = nil, Trusted{}
		return f.kept, nil
	}
	if err != nil {
		return Trusted{}, f.unusable("can't be read", err)
	}
	if !anew && f.seen != nil && os.SameFile(f.seen, info) && f.seen.ModTime().Equal(info.ModTime()) && f.seen.Size() == info.Size() && f.seen.Mode() == info.Mode() {
		return f.kept, nil
	}
	f.seen = nil
	if !info.Mode().IsRegular() {
		return Trusted{}, f.unusable("is not a plain file: put the file itself there", nil)
	}
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
		return Trusted{}, f.unusable(fmt.Sprintf("is open to other users of this machine (mode %#o): check that its founders are those you know, then run chmod 600 on it", info.Mode().Perm()), nil)
	}
	b, err := readBounded(f.path)
	if err != nil {
		return Trusted{}, f.unusable("can't be read", err)
	}
	t, err := parseRoot(b)
	if err != nil {
		return Trusted{}, f.unusable("is not as Ward wrote it: put it back from the backup of the keys", err)
	}
	f.seen, f.kept = info, t
	return t, nil
}

func (f *File) unusable(why string, err error) error {
	return ward.Errorf(ward.Unavailable, "The file of the first approvers, %s, %s. Until then nobody's approval can be proven.", f.path, why).Because(err)
}

func readBounded(path string) ([]byte, error) {
	r, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer r.Close() //nolint:errcheck // it was only read
	b, err := io.ReadAll(io.LimitReader(r, maxRootFile+1))
	if err == nil && len(b) > maxRootFile {
		err = fmt.Errorf("it has more than %d bytes", maxRootFile)
	}
	return b, err
}

// Change meets Root. It writes a new file beside the old one and puts it in its place, so
// that a crash leaves the one or the other.
func (f *File) Change(_ context.Context, change func(*Trusted) error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	now, err := f.read(true)
	if err != nil {
		return err
	}
	t, err := now.Changed(change)
	if err != nil {
		return err
	}
	b, err := formatRoot(t)
	if err != nil {
		return err
	}
	if _, err := parseRoot(b); err != nil { // what could not be read again is never put in its place
		return fmt.Errorf("change the first approvers: %w", err)
	}
	if err := writeWhole(f.path, b); err != nil {
		return fmt.Errorf("write the file of the first approvers %s: %w", f.path, err)
	}
	f.seen = nil // read it anew, as others do
	_, err = f.read(true)
	return err
}

func writeWhole(path string, b []byte) (err error) {
	dir := filepath.Dir(path)
	w, err := os.CreateTemp(dir, filepath.Base(path)+".*.part") // it has mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(w.Name()))
		}
	}()
	if _, err = w.Write(b); err == nil {
		err = w.Sync()
	}
	if err = errors.Join(err, w.Close()); err != nil {
		return err
	}
	if err = os.Rename(w.Name(), path); err != nil {
		return err
	}
	if runtime.GOOS == "windows" { // it can't flush a folder
		return nil
	}
	return syncFolder(dir)
}

func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// The file's form. Times are for people; RFC 3339 keeps them to the nanosecond.
type (
	rootJSON struct {
		Version  int           `json:"version"`
		Founders []founderJSON `json:"founders"`
		Ended    []endedJSON   `json:"ended,omitempty"`
		NonceKey []byte        `json:"nonce_key,omitempty"`
		Glass    *glassJSON    `json:"glass,omitempty"`
	}
	founderJSON struct {
		Hash    string    `json:"hash"`
		ID      string    `json:"id"`
		Name    string    `json:"name"`
		Subject string    `json:"subject"`
		At      time.Time `json:"trusted_at"`
	}
	endedJSON struct {
		ID string    `json:"id"`
		At time.Time `json:"at"`
	}
	glassJSON struct {
		Public []byte    `json:"public_key"`
		At     time.Time `json:"made_at"`
	}
)

// parseRoot reads the file strictly: what it does not know might be what was meant.
func parseRoot(b []byte) (Trusted, error) {
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	var in rootJSON
	if err := dec.Decode(&in); err != nil {
		return Trusted{}, err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return Trusted{}, errors.New("something follows its end")
	}
	if in.Version != rootVersion {
		return Trusted{}, fmt.Errorf("its version is %d, not %d", in.Version, rootVersion)
	}
	t := Trusted{}.clone()
	for _, f := range in.Founders {
		if !validHash(f.Hash) {
			return Trusted{}, fmt.Errorf("%q is not the hash of a founder", f.Hash)
		}
		if _, twice := t.Founders[f.Hash]; twice {
			return Trusted{}, fmt.Errorf("the founder %s stands there twice", f.Hash)
		}
		t.Founders[f.Hash] = Founder{f.ID, f.Name, f.Subject, f.At.UTC()}
	}
	for _, e := range in.Ended {
		if e.ID == "" || e.At.IsZero() {
			return Trusted{}, errors.New("an approver that ended has no id or no time")
		}
		t.Ended[e.ID] = e.At.UTC()
	}
	if n := len(in.NonceKey); n != 0 && n != keySize || n == 0 && len(in.Founders) > 0 {
		return Trusted{}, fmt.Errorf("its nonce key has %d bytes, not %d", n, keySize)
	}
	t.Key = in.NonceKey
	if in.Glass != nil {
		t.Glass = Glass{Public: in.Glass.Public, At: in.Glass.At.UTC()}
		if !t.Glass.whole() {
			return Trusted{}, errors.New("the public half of the sealed key is not whole")
		}
	}
	return t, nil
}
