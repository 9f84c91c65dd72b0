package api

import (
	"archive/zip"
	"bytes"
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/casefile"
)

// A file is made anew whenever the pack or the archive is asked for. Its PDF and that one's
// signature are fetched after it: made again they would be of another time, and not fit the
// pack. So a file is kept for a moment for the person who got it, in the memory of this copy
// of the server. Where there are several copies the archive holds all parts of one.
const (
	fileLife = 2 * time.Minute
	maxFiles = 64
)

// files are those that were made a moment ago. Its zero value is ready.
type files struct {
	mu   sync.Mutex
	kept map[fileKey]keptFile
}

type fileKey struct {
	person  ward.PersonID
	subject string // of a case or an order
}

type keptFile struct {
	pack casefile.Pack
	made time.Time
}

// keep keeps a file; the oldest makes room for it.
func (f *files) keep(k fileKey, p casefile.Pack, now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.kept == nil {
		f.kept = map[fileKey]keptFile{}
	}
	f.kept[k] = keptFile{p, now}
	oldest := k
	for key, one := range f.kept {
		if now.Sub(one.made) >= fileLife {
			delete(f.kept, key)
		} else if one.made.Before(f.kept[oldest].made) {
			oldest = key
		}
	}
	if len(f.kept) > maxFiles {
		delete(f.kept, oldest)
	}
}

func (f *files) get(k fileKey, now time.Time) (casefile.Pack, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	one, ok := f.kept[k]
	return one.pack, ok && now.Sub(one.made) < fileLife
}

// download is an answer to be kept as a file.
type download struct {
	ContentType string `header:"Content-Type" hidden:"true"`
	Disposition string `header:"Content-Disposition" hidden:"true"`
	Body        []byte
}

const (
	packType = "application/json"
	pdfType  = "application/pdf"
	p7sType  = "application/pkcs7-signature" // RFC 8551, section 3.2.1
	zipType  = "application/zip"
)

func saved(mediaType, name string, body []byte) *download {
	return &download{ContentType: mediaType, Disposition: `attachment; filename="` + name + `"`, Body: body}
}

// maker makes the file of what a path names.
type maker func(ctx context.Context) (casefile.Pack, error)

// made makes a file anew and keeps it for its parts to be fetched.
func (s *server) made(ctx context.Context, subject string, build maker) (casefile.Pack, error) {
	p, err := build(ctx)
	if err != nil {
		return p, err
	}
	s.files.keep(fileKey{ward.ActorFrom(ctx).Person, subject}, p, s.Now())
	return p, nil
}

// recent returns the file that the person got a moment ago, or makes one.
func (s *server) recent(ctx context.Context, subject string, build maker) (casefile.Pack, error) {
	if p, ok := s.files.get(fileKey{ward.ActorFrom(ctx).Person, subject}, s.Now()); ok {
		return p, nil
	}
	return s.made(ctx, subject, build)
}

func (s *server) ofCase(id ward.CaseID) (subject string, build maker) {
	return "case/" + string(id), func(ctx context.Context) (casefile.Pack, error) { return s.CaseFile(ctx, id) }
}

func (s *server) ofOrder(id ward.OrderID) (subject string, build maker) {
	return "order/" + string(id), func(ctx context.Context) (casefile.Pack, error) { return s.OrderFile(ctx, id) }
}

func (s *server) packOf(ctx context.Context, subject string, build maker) (*download, error) {
	p, err := s.made(ctx, subject, build)
	if err != nil {
		return nil, err
	}
	return saved(packType, p.ID+".json", p.JSON), nil
}

func (s *server) pdfOf(ctx context.Context, subject string, build maker) (*download, error) {
	p, err := s.recent(ctx, subject, build)
	if err != nil {
		return nil, err
	}
	return saved(pdfType, p.ID+".pdf", p.PDF), nil
}

func (s *server) signatureOf(ctx context.Context, subject string, build maker) (*download, error) {
	p, err := s.recent(ctx, subject, build)
	if err != nil {
		return nil, err
	}
	if p.P7S == nil {
		return nil, ward.Errorf(ward.NotFound, "The PDF of this file has no signature of its own. The pack names its SHA-256 and is signed.")
	}
	return saved(p7sType, p.ID+".pdf.p7s", p.P7S), nil
}

func (s *server) archiveOf(ctx context.Context, subject string, build maker) (*download, error) {
	p, err := s.made(ctx, subject, build)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, part := range []struct {
		name string
		body []byte
	}{{p.ID + ".json", p.JSON}, {p.ID + ".pdf", p.PDF}, {p.ID + ".pdf.p7s", p.P7S}} {
		if part.body == nil {
			continue
		}
		w, err := z.CreateHeader(&zip.FileHeader{Name: part.name, Method: zip.Deflate, Modified: s.Now().UTC()})
		if err != nil {
			return nil, fmt.Errorf("archive of %s: %w", subject, err)
		}
		if _, err := w.Write(part.body); err != nil {
			return nil, fmt.Errorf("archive of %s: %w", subject, err)
		}
	}
	if err := z.Close(); err != nil {
		return nil, fmt.Errorf("archive of %s: %w", subject, err)
	}
	return saved(zipType, p.ID+".zip", b.Bytes()), nil
}
