package server

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"filippo.io/age"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/seal"
	"github.com/wardmdm/ward/server/store"
)

// The parts of a backup: a tar archive within an age file
// (https://age-encryption.org/v1).
const (
	backupDump = "database.jsonl"
	backupKeys = "keys/"
	maxKeyFile = 1 << 20
)

// Backup writes the database as of one moment and the keys to w, encrypted under the
// passphrase. The server may go on running.
func Backup(ctx context.Context, c Config, w io.Writer, passphrase string) error {
	o, err := OpenConsoleConfig(ctx, c)
	if err != nil {
		return err
	}
	defer o.Close() //nolint:errcheck // what is written to it is committed by then
	recipient, err := age.NewScryptRecipient(passphrase)
	if err != nil {
		return err
	}
	if c.workFactor > 0 {
		recipient.SetWorkFactor(c.workFactor)
	}
	enc, err := age.Encrypt(w, recipient)
	if err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	t := tar.NewWriter(enc)
	if err := addKeys(t, c.keysDir()); err != nil {
		return fmt.Errorf("backup keys: %w", err)
	}
	if err := addDump(ctx, t, o.db, c.Data); err != nil {
		return fmt.Errorf("backup database: %w", err)
	}
	if err := errors.Join(t.Close(), enc.Close()); err != nil {
		return err
	}
	return o.db.SetSetting(ctx, backupKey, o.now().UTC().Format(time.RFC3339))
}

// addDump adds the database. An archive tells a file's size before its content, so the
// dump goes through a temporary file beside the data; what is secret in it is sealed.
func addDump(ctx context.Context, t *tar.Writer, db *store.DB, dir string) (err error) {
	f, err := os.CreateTemp(dir, "backup-*")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(f.Name())) }()
	if err := db.Dump(ctx, f); err != nil {
		return err
	}
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	if err := t.WriteHeader(&tar.Header{Name: backupDump, Mode: 0o600, Size: size, ModTime: time.Now().UTC()}); err != nil {
		return err
	}
	_, err = io.Copy(t, f)
	return err
}

func addKeys(t *tar.Writer, dir string) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path) //nolint:gosec // the keys folder is the operator's own
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		if err := t.WriteHeader(&tar.Header{Name: backupKeys + filepath.ToSlash(rel), Mode: 0o600, Size: int64(len(b))}); err != nil {
			return err
		}
		_, err = t.Write(b)
		return err
	})
}

// Restore reads a backup into the empty data folder and database that c names. What
// was begun and failed is taken away again.
func Restore(ctx context.Context, c Config, r io.Reader, passphrase string) (err error) {
	if _, err := os.Stat(filepath.Join(c.keysDir(), "master.key")); err == nil {
		return ward.Errorf(ward.Conflict, "%s has keys already: restore into a new folder.", c.Data)
	}
	identity, err := age.NewScryptIdentity(passphrase)
	if err != nil {
		return err
	}
	plain, err := age.Decrypt(r, identity)
	if err != nil {
		return ward.Errorf(ward.Invalid, "The backup can't be opened: the passphrase is wrong, or it is no backup.")
	}
	_, existed := os.Stat(c.Data)
	var written []string
	defer func() {
		if err == nil {
			return
		}
		for _, path := range written {
			err = errors.Join(err, os.Remove(path))
		}
		if errors.Is(existed, fs.ErrNotExist) {
			err = errors.Join(err, os.RemoveAll(c.Data))
		}
	}()
	t := tar.NewReader(plain)
	restored := false
	for {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return ward.Errorf(ward.Invalid, "The backup is damaged: %v.", err)
		}
		switch name, isKey := strings.CutPrefix(h.Name, backupKeys); {
		case isKey:
			var path string
			if path, err = restoreKey(c.keysDir(), name, t); path != "" {
				written = append(written, path)
			}
		case h.Name == backupDump:
			restored = true
			err = restoreDump(ctx, c, t)
		default:
			err = ward.Errorf(ward.Invalid, "The backup holds a file %q that has no place in it.", h.Name)
		}
		if err != nil {
			return err
		}
	}
	if !restored {
		return ward.Errorf(ward.Invalid, "The backup holds no database.")
	}
	return nil
}

// restoreKey writes one file of the keys and returns its path, "" if there is none.
func restoreKey(dir, name string, r io.Reader) (string, error) {
	if !filepath.IsLocal(name) {
		return "", ward.Errorf(ward.Invalid, "The backup holds a key file %q outside its folder.", name)
	}
	b, err := io.ReadAll(io.LimitReader(r, maxKeyFile))
	if err != nil {
		return "", ward.Errorf(ward.Invalid, "The backup is damaged: %v.", err)
	}
	path := filepath.Join(dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return "", err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) // never over a key that is there
	if err != nil {
		return "", err
	}
	_, err = f.Write(b)
	return path, errors.Join(err, f.Sync(), f.Close())
}

func restoreDump(ctx context.Context, c Config, r io.Reader) (err error) {
	master, err := seal.LoadMaster(filepath.Join(c.keysDir(), "master.key"))
	if err != nil {
		return err
	}
	url, err := c.database()
	if err != nil {
		return err
	}
	db, err := store.Open(ctx, store.Options{URL: url, Master: master, Now: func() time.Time { return time.Now().UTC() }})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	return db.Load(ctx, r)
}
