package brake

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
)

// FileAnchor returns the anchor in the file at path, which stands beside the keys, outside
// the database. The file need not be there yet; its folder must be. Several copies of the
// server may each have their own.
func FileAnchor(path string) Anchor { return &fileAnchor{path: path} }

type fileAnchor struct {
	path string
	mu   sync.Mutex // of saving
}

// anchored is the file's text.
type anchored struct {
	Seq int64  `json:"seq"`
	MAC []byte `json:"mac"`
}

// Load meets Anchor. A file that is no anchor is an ErrTampered.
func (f *fileAnchor) Load() (seq int64, mac []byte, err error) {
	b, err := os.ReadFile(f.path)
	if err != nil {
		return 0, nil, fmt.Errorf("anchor of the brake's journal: %w", err)
	}
	var a anchored
	if err := json.Unmarshal(b, &a); err != nil || a.Seq < 0 || (a.Seq > 0) != (len(a.MAC) > 0) {
		return 0, nil, fmt.Errorf("anchor of the brake's journal: the file %s is damaged: %w", f.path, ErrTampered)
	}
	return a.Seq, a.MAC, nil
}

// Save meets Anchor: the file appears whole, by one rename, readable by its owner alone. A
// file that is further on already stays as it is.
func (f *fileAnchor) Save(seq int64, mac []byte) (err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	defer func() {
		if err != nil {
			err = fmt.Errorf("anchor of the brake's journal: %w", err)
		}
	}()
	switch have, _, err := f.Load(); {
	case err == nil && have >= seq:
		return nil
	case err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, ErrTampered): // a damaged file is replaced
		return err
	}
	b, err := json.Marshal(anchored{seq, mac})
	if err != nil {
		return err
	}
	dir := filepath.Dir(f.path)
	part, err := os.CreateTemp(dir, filepath.Base(f.path)+".part-*") // mode 0600
	if err != nil {
		return err
	}
	_, err = part.Write(append(b, '\n'))
	if err = errors.Join(err, part.Sync(), part.Close()); err == nil {
		err = os.Rename(part.Name(), f.path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(part.Name()))
	}
	d, err := os.Open(dir) // so that the rename survives a power cut
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
