package web

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/access"
	"github.com/wardmdm/ward/server/audit"
)

type entryPage struct {
	Page
	Head    pageHead
	Facts   []factView
	Details []factView
	Erased  []string // what can't be read any more
	Damaged bool
	Pending bool   // it is not in the tree yet
	Proof   string // address of its proof; empty for those who may not have it
}

func entryID(r *http.Request) (int64, error) {
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil || id < 1 {
		return 0, ward.Errorf(ward.NotFound, "The audit log has no entry %q.", r.PathValue("id"))
	}
	return id, nil
}

// auditEntry shows one entry: GET /audit/{id}.
func (s *Server) auditEntry(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	if err := unscoped(ctx); err != nil {
		return err
	}
	id, err := entryID(r)
	if err != nil {
		return err
	}
	e, err := s.Operate.Audit.Entry(ctx, id)
	if err != nil {
		return err
	}
	n := s.newNamer()
	it, err := n.subject(ctx, e)
	if err != nil {
		return err
	}
	who, err := n.actor(ctx, e)
	if err != nil {
		return err
	}
	title := "Entry " + strconv.FormatInt(id, 10)
	v := &entryPage{
		Page: Page{Title: title, Section: "audit", Backlink: "/audit", Backname: "Audit", Narrow: true}, Damaged: e.Damaged, Pending: e.Index < 0,
		Head: pageHead{Title: title, Caption: s.says(e, it.Text)},
	}
	v.Facts = []factView{{Label: "When", Value: at(e.At, s.Now()).Exact}, {Label: "Who", Value: who.Text, Href: who.Href}, {Label: "By what means", Value: means(e.Actor.Via)}, {Label: "Deed", Value: e.Action, Href: addressWith("/audit", "action", e.Action)}}
	if it.Text != "" {
		v.Facts = append(v.Facts, factView{Label: "About", Value: it.Text, Href: it.Href})
	}
	if e.Subject != "" && e.Subject != it.Text {
		v.Facts = append(v.Facts, factView{Label: "Its id", Value: e.Subject, Href: addressWith("/audit", "subject", e.Subject)})
	}
	if e.Index >= 0 {
		v.Facts = append(v.Facts, factView{Label: "Place in the tree", Value: strconv.FormatInt(e.Index, 10)})
	}
	for _, k := range slices.Sorted(maps.Keys(e.Detail)) {
		v.Details = append(v.Details, factView{Label: k, Value: e.Detail[k]})
	}
	if e.ActorErased {
		v.Erased = append(v.Erased, "Who did this was erased at a person’s request. That it was done, and when, stands for ever.")
	}
	if e.SubjectErased {
		v.Erased = append(v.Erased, "What it was done to, and its particulars, were erased at a person’s request.")
	}
	if e.Index >= 0 && access.Allows(ward.ActorFrom(ctx), access.AuditExport) {
		v.Proof = entryAddress(id) + "/proof"
	}
	return render(s, w, r, http.StatusOK, s.pages.entry, v)
}

// means says in words how somebody came.
func means(v ward.Via) string {
	switch v {
	case ward.ViaSession:
		return "Signed in by a browser"
	case ward.ViaToken:
		return "By an API token"
	case ward.ViaDevice:
		return "A device by itself"
	case ward.ViaConsole:
		return "By a command on the server itself"
	case ward.ViaSystem:
		return "Ward by itself"
	}
	return "Not known"
}

// proofFile is an entry with what a stranger needs to find it in the log: the hash of record
// (RFC 6962) together with proof gives the root that the signed checkpoint states.
type proofFile struct {
	Format     string   `json:"format"` // "ward-audit-proof/1"
	Log        string   `json:"log"`
	Key        string   `json:"key"`
	Checkpoint string   `json:"checkpoint"`
	Index      int64    `json:"index"`
	Record     string   `json:"record"`
	Proof      [][]byte `json:"proof"`
	Who        *opened  `json:"who,omitempty"`
	What       *opened  `json:"what,omitempty"`
}

// opened opens a commitment of the record: base64url(SHA-256(salt || json)).
type opened struct {
	Salt string `json:"salt"`
	JSON string `json:"json"`
}

// auditProof gives an entry with its proof: GET /audit/{id}/proof. That it was taken away is
// audited.
func (s *Server) auditProof(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	if err := errors.Join(unscoped(ctx), access.Check(ctx, access.AuditRead)); err != nil {
		return err
	}
	id, err := entryID(r)
	if err != nil {
		return err
	}
	e, err := s.Operate.Audit.Entry(ctx, id)
	if err != nil {
		return err
	}
	if e.Index < 0 {
		return ward.Errorf(ward.Unavailable, "Entry %d is not in the tree yet. Try again in a moment.", id)
	}
	ev, err := s.Operate.Audit.Prove(ctx, []int64{e.Index})
	if err != nil {
		return err
	}
	if len(ev.Entries) == 0 {
		return ward.Errorf(ward.Unavailable, "Entry %d is not in the tree yet. Try again in a moment.", id)
	}
	p := ev.Entries[0]
	out := proofFile{Format: "ward-audit-proof/1", Log: ev.Origin, Key: ev.Key, Checkpoint: string(ev.Checkpoint), Index: p.Index, Record: p.Leaf, Who: openedOf(p.Who), What: openedOf(p.What)}
	for _, h := range p.Hashes {
		out.Proof = append(out.Proof, h[:])
	}
	if err := s.auditExported(ctx, "proof of entry "+strconv.FormatInt(id, 10), "json"); err != nil {
		return err
	}
	b, err := json.MarshalIndent(out, "", "  ")
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Disposition", `attachment; filename="audit-entry-`+strconv.FormatInt(id, 10)+`.json"`)
	w.Write(append(b, '\n')) //nolint:errcheck // the client is gone, nobody is left to tell
	return nil
}

func openedOf(o *audit.Opening) *opened {
	if o == nil {
		return nil
	}
	return &opened{base64.RawURLEncoding.EncodeToString(o.Salt), o.JSON}
}

// auditExported records that a part of the log was taken away.
func (s *Server) auditExported(ctx context.Context, what, format string) error {
	return s.Operate.Audit.Record(ctx, audit.Entry{Action: "audit.exported", Detail: map[string]string{"what": what, "format": format}})
}

// jsonEntry is an entry of an export.
type jsonEntry struct {
	ID      int64             `json:"id"`
	Index   int64             `json:"index"` // -1 until it is in the tree
	At      time.Time         `json:"at"`
	Action  string            `json:"action"`
	Says    string            `json:"says"`
	Actor   string            `json:"actor"`
	Person  ward.PersonID     `json:"person,omitempty"`
	Via     ward.Via          `json:"via,omitempty"`
	Subject string            `json:"subject,omitempty"`
	Detail  map[string]string `json:"detail,omitempty"`
	Erased  bool              `json:"erased,omitempty"`
	Damaged bool              `json:"damaged,omitempty"`
}

// auditJSON gives what is searched for as JSON lines.
func (s *Server) auditJSON(w http.ResponseWriter, r *http.Request, f audit.Filter) error {
	ctx := r.Context()
	if err := s.auditExported(ctx, "search", "json"); err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "application/jsonl")
	h.Set("Content-Disposition", `attachment; filename="audit.jsonl"`)
	enc, n, begun := json.NewEncoder(w), s.newNamer(), false
	err := s.eachEntry(ctx, f, func(list []audit.Recorded) error {
		for _, e := range list {
			it, err := n.subject(ctx, e)
			if err != nil {
				return err
			}
			who, err := n.actor(ctx, e)
			if err != nil {
				return err
			}
			begun = true
			if err := enc.Encode(jsonEntry{
				ID: e.ID, Index: e.Index, At: e.At.UTC(), Action: e.Action, Says: s.says(e, it.Text), Actor: who.Text, Person: e.Actor.Person, Via: e.Actor.Via, Subject: e.Subject, Detail: e.Detail,
				Erased: e.ActorErased || e.SubjectErased, Damaged: e.Damaged,
			}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil && begun {
		panic(http.ErrAbortHandler) // half a file must not be taken for a whole one
	}
	return err
}
