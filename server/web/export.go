package web

import (
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/access"
	"github.com/wardmdm/ward/server/evidence"
	"github.com/wardmdm/ward/server/logkey"
	"github.com/wardmdm/ward/server/report"
	"go.uber.org/zap"
	"golang.org/x/time/rate"
)

// How many files one person may take in a row, and how soon one more.
const (
	exportBurst = 30
	exportEvery = 2 * time.Second
)

// maxExporters bounds for how many people the limit is remembered.
const maxExporters = 4096

// exporters limits how many files people take. Several copies of the server each have their
// own.
type exporters struct {
	mu  sync.Mutex
	per map[ward.PersonID]*rate.Limiter
}

// take counts a file, or returns Unavailable.
func (e *exporters) take(who ward.PersonID, now time.Time) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.per == nil || len(e.per) > maxExporters {
		e.per = map[ward.PersonID]*rate.Limiter{}
	}
	l := e.per[who]
	if l == nil {
		l = rate.NewLimiter(rate.Every(exportEvery), exportBurst)
		e.per[who] = l
	}
	if !l.AllowN(now, 1) {
		return ward.Errorf(ward.Unavailable, "You have taken many files in a short time. Wait a minute and try again.")
	}
	return nil
}

// export answers with a list as a file where the address asks for one by format=csv or
// format=pdf, or with signed=1 for a PDF with its signatures in an archive. done is false
// where it asks for none. all returns every row of the list: it is called only where the
// reader may export, and that they did is recorded.
func (s *Server) export(w http.ResponseWriter, r *http.Request, all func() (report.Table, error)) (done bool, err error) {
	q := r.URL.Query()
	form := q.Get("format")
	if form == "" {
		return false, nil
	}
	if form == evidence.PDF && q.Get("signed") == "1" {
		form = evidence.Signed
	}
	if form != evidence.CSV && form != evidence.PDF && form != evidence.Signed {
		return true, ward.Errorf(ward.Invalid, "A list is exported as csv or as pdf, not as %q.", form)
	}
	ctx := r.Context()
	if s.Evidence.Service == nil {
		return true, ward.Errorf(ward.Unavailable, "Nothing can be exported here.")
	}
	if err := access.Check(ctx, access.ExportMake); err != nil {
		return true, err
	}
	if err := s.exporters.take(ward.ActorFrom(ctx).Person, s.Now()); err != nil {
		return true, err
	}
	t, err := all()
	if err != nil {
		return true, err
	}
	if t.AsOf.IsZero() {
		t.AsOf = s.Now()
	}
	if err := s.Evidence.Exporting(ctx, t, form); err != nil {
		return true, err
	}
	return true, s.sendTable(w, r, t, form)
}

func (s *Server) sendTable(w http.ResponseWriter, r *http.Request, t report.Table, form string) error {
	ctx := r.Context()
	name := "ward-" + t.Name + "-" + s.Now().UTC().Format("20060102-1504")
	switch form {
	case evidence.CSV:
		attach(w, name+".csv", "text/csv; charset=utf-8")
		if err := t.WriteCSV(w); err != nil { // something was written already: cut it off rather than show a part as the whole
			s.Log.Debug("file not delivered", zap.String(logkey.Route, r.Pattern), zap.Error(err))
			panic(http.ErrAbortHandler)
		}
		return nil
	case evidence.PDF:
		pdf, err := t.PDF(s.Evidence.Stamp(ctx))
		if err != nil {
			return err
		}
		return s.sendFile(w, r, name+".pdf", "application/pdf", pdf)
	}
	f, err := s.Evidence.Sheet(ctx, t)
	if err != nil {
		return err
	}
	return s.sendZip(w, r, name, f)
}

func (s *Server) sendZip(w http.ResponseWriter, r *http.Request, name string, f evidence.File) error {
	b, err := f.Zip()
	if err != nil {
		return err
	}
	return s.sendFile(w, r, name+".zip", "application/zip", b)
}

// attach has a browser keep the answer as a file.
func attach(w http.ResponseWriter, name, kind string) {
	h := w.Header()
	h.Set("Content-Type", kind)
	h.Set("Content-Disposition", fmt.Sprintf("attachment; filename=%q", name))
	h.Set("Cache-Control", "no-store")
}

func (s *Server) sendFile(w http.ResponseWriter, r *http.Request, name, kind string, body []byte) error {
	attach(w, name, kind)
	if _, err := w.Write(body); err != nil {
		s.Log.Debug("file not delivered", zap.String(logkey.Route, r.Pattern), zap.Error(err))
	}
	return nil
}
