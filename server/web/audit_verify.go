package web

import (
	"net/http"
	"strconv"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/audit/watch"
)

type verifyPage struct {
	Page
	Head       pageHead
	Last       *noteView
	Facts      []factView
	Running    bool
	Progress   string
	Done       int64 // of Of, for a bar
	Of         int64
	Checkpoint string
	Key        string
}

// verification says what the last verification found: GET /audit/verify.
func (s *Server) verification(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	if err := unscoped(ctx); err != nil {
		return err
	}
	last, err := s.Operate.Verifier.Last(ctx)
	if err != nil {
		return err
	}
	v := &verifyPage{
		Page: Page{Title: "Verify the audit log", Section: "audit", Backlink: "/audit", Backname: "Audit", Narrow: true},
		Head: pageHead{Title: "Verify the audit log", Caption: "The whole log is read as a stranger would read it: every entry, every commitment, the tree and its signature. It happens each night by itself."},
		Key:  s.Operate.Audit.PublicKey(),
	}
	v.result(last, s.Now())
	p := s.Operate.Verifier.Progress()
	if v.Running = p.Running; v.Running {
		v.Done, v.Of, v.Progress = p.Done, p.Of, "It is being verified."
		if p.Of > 0 {
			v.Progress = "It is being verified: " + strconv.FormatInt(p.Done, 10) + " of " + strconv.FormatInt(p.Of, 10) + " entries."
		}
	}
	c, err := s.Operate.Audit.Checkpoint(ctx)
	if err != nil && ward.KindOf(err) != ward.NotFound {
		return err
	}
	v.Checkpoint = string(c.Note)
	return render(s, w, r, http.StatusOK, s.pages.verify, v)
}

func (v *verifyPage) result(last watch.Result, now time.Time) {
	switch {
	case last.At.IsZero():
		v.Last = &noteView{Tone: "info", Title: "It was not verified yet", Text: "It is verified tonight, or now if you ask for it."}
		return
	case last.Sound:
		v.Last = &noteView{Tone: "good", Title: "Whole and unaltered", Text: "All " + strconv.FormatInt(last.Size, 10) + " entries are as they were recorded."}
	default:
		v.Last = &noteView{Tone: "bad", Title: "The log is not to be relied on", Text: last.Problem}
	}
	v.Facts = []factView{
		{Label: "Verified", Value: at(last.At, now).Exact + ", in " + last.Took.Round(time.Millisecond).String()},
		{Label: "Entries", Value: strconv.FormatInt(last.Size, 10)},
	}
	if last.Root != "" {
		v.Facts = append(v.Facts, factView{Label: "Root of the tree", Value: last.Root})
	}
	if last.Earlier > 0 {
		v.Facts = append(v.Facts, factView{Label: "Continues", Value: "the log of " + strconv.FormatInt(last.Earlier, 10) + " entries that was verified before"})
	}
	if last.Sealed > 0 {
		v.Facts = append(v.Facts, factView{Label: "Erased", Value: strconv.FormatInt(last.Sealed, 10) + " personal parts; the log stands without them"})
	}
}

// verify has the log verified: POST /audit/verify.
func (s *Server) verify(w http.ResponseWriter, r *http.Request) error {
	if err := unscoped(r.Context()); err != nil {
		return err
	}
	if err := s.Operate.Verifier.Ask(r.Context()); err != nil {
		return err
	}
	return see(w, r, "/audit/verify")
}
