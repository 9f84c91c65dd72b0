// Package wording keeps the texts that an organisation may change while the server runs, such
// as what a lost phone shows. It holds no text of the policy, and sends nothing to a device.
package wording

import (
	"context"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/access"
)

// ActionChanged is what the audit log calls a change of a text. Its subject is the key.
const ActionChanged = "template.changed"

// Key names a text.
type Key string

// The texts.
const (
	LostMessage  Key = "lost.message"
	LostPhone    Key = "lost.phone"
	LostFootnote Key = "lost.footnote"
	EnrolHelp    Key = "enrolment.help"
	StaffHelp    Key = "staff.help"
)

// Text is a text with what holds.
type Text struct {
	Key      Key
	Title    string
	About    string // where people read it
	Lines    int    // how many it may have
	Most     int    // characters
	Value    string // what holds
	Default  string // what holds where nothing was set: the configuration's
	Changed  bool   // it was set here
	Original string // whose default it is, such as "the server’s configuration"
}

// all are the texts, in the order in which they are shown.
func all() []Text {
	return []Text{
		{Key: LostMessage, Title: "Message on a lost phone", About: "Stands on the lock screen of a phone that was reported lost, where neither the report nor the policy says otherwise.", Lines: 3, Most: 300},
		{Key: LostPhone, Title: "Number to call", About: "Whoever finds the phone can call it from the lock screen.", Lines: 1, Most: 40},
		{Key: LostFootnote, Title: "Footnote on a lost phone", About: "Stands small at the bottom of the lock screen.", Lines: 1, Most: 120},
		{Key: EnrolHelp, Title: "Help on the printed enrolment sheet", About: "Says whom to ask: where the help desk is, its number and hours.", Lines: 4, Most: 400},
		{Key: StaffHelp, Title: "Help on My devices", About: "Says whom a member of staff asks about their phone.", Lines: 4, Most: 400},
	}
}

// Settings keep the texts. Methods join the unit of work in ctx.
type Settings interface {
	Setting(ctx context.Context, key string) (string, error)
	SetSetting(ctx context.Context, key, value string) error
	Do(ctx context.Context, fn func(ctx context.Context) error) error
}

// Recorder writes the audit log in the unit of work in ctx.
type Recorder interface {
	Record(ctx context.Context, action, subject string, detail map[string]string) error
}

// Service keeps the texts. It may be used by several goroutines.
type Service struct {
	settings Settings
	record   Recorder
	defaults map[Key]string
}

// New returns a Service. defaults hold where nothing was set.
func New(s Settings, r Recorder, defaults map[Key]string) *Service {
	return &Service{s, r, defaults}
}

// set begins what is kept of a text that was set here: an empty text can be meant.
const set = "="

func setting(k Key) string { return "text:" + string(k) }

// Texts returns every text with what holds.
func (s *Service) Texts(ctx context.Context) ([]Text, error) {
	out := all()
	for i := range out {
		t := &out[i]
		kept, err := s.settings.Setting(ctx, setting(t.Key))
		if err != nil {
			return nil, err
		}
		t.Default, t.Original = s.defaults[t.Key], "the server’s configuration"
		if t.Default == "" {
			t.Original = "Ward"
		}
		t.Value = t.Default
		if v, ok := strings.CutPrefix(kept, set); ok {
			t.Value, t.Changed = v, true
		}
	}
	return out, nil
}

// Text returns what holds of one text.
func (s *Service) Text(ctx context.Context, k Key) (string, error) {
	kept, err := s.settings.Setting(ctx, setting(k))
	if err != nil {
		return "", err
	}
	if v, ok := strings.CutPrefix(kept, set); ok {
		return v, nil
	}
	return s.defaults[k], nil
}

// Change sets texts, or for those that equal their default goes back to it. It takes
// access.TemplateWrite. All mistakes are reported at once and then nothing changes; each
// change is audited with what it was and what it is.
func (s *Service) Change(ctx context.Context, to map[Key]string) error {
	if err := access.Check(ctx, access.TemplateWrite); err != nil {
		return err
	}
	var wrong []string
	clean := make(map[Key]string, len(to))
	known := 0
	for _, t := range all() {
		v, ok := to[t.Key]
		if !ok {
			continue
		}
		known++
		clean[t.Key] = strings.TrimSpace(strings.ReplaceAll(v, "\r\n", "\n"))
		wrong = append(wrong, t.mistakes(clean[t.Key])...)
	}
	if known < len(to) {
		wrong = append(wrong, "There is no such text.")
	}
	if len(wrong) > 0 {
		return &ward.Error{Kind: ward.Invalid, Message: "No text was changed.", Details: wrong}
	}
	return s.settings.Do(ctx, func(ctx context.Context) error {
		for _, t := range all() {
			v, ok := clean[t.Key]
			if !ok {
				continue
			}
			if err := s.change(ctx, t.Key, v); err != nil {
				return fmt.Errorf("text %s: %w", t.Key, err)
			}
		}
		return nil
	})
}

func (s *Service) change(ctx context.Context, k Key, v string) error {
	was, err := s.Text(ctx, k)
	if err != nil || was == v {
		return err
	}
	keep := set + v
	if v == s.defaults[k] {
		keep = ""
	}
	if err := s.settings.SetSetting(ctx, setting(k), keep); err != nil {
		return err
	}
	return s.record.Record(ctx, ActionChanged, string(k), map[string]string{"from": was, "to": v})
}

func (t Text) mistakes(v string) (m []string) {
	if n := utf8.RuneCountInString(v); n > t.Most {
		m = append(m, fmt.Sprintf("%s: it has %d characters, and there is room for %d.", t.Title, n, t.Most))
	}
	if n := strings.Count(v, "\n") + 1; n > t.Lines {
		m = append(m, fmt.Sprintf("%s: it has %d lines, and there is room for %d.", t.Title, n, t.Lines))
	}
	if !utf8.ValidString(v) || strings.ContainsFunc(v, func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }) {
		m = append(m, t.Title+": it holds characters that cannot be shown.")
	}
	return m
}
