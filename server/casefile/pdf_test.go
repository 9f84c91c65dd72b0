package casefile_test

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/wardmdm/ward/server/casefile"
	"golang.org/x/text/encoding/charmap"
)

var shownText = regexp.MustCompile(`(?s)\((?:\\.|[^\\()])*\)Tj`)

// textOf returns what an uncompressed PDF of ours shows: a line for each piece of text,
// and a line between pages.
func textOf(t *testing.T, pdf []byte) (text string, pages int) {
	t.Helper()
	var b strings.Builder
	for _, stream := range bytes.Split(pdf, []byte("stream\n"))[1:] {
		found := shownText.FindAll(stream, -1)
		if len(found) == 0 {
			continue
		}
		pages++
		for _, m := range found {
			raw := strings.NewReplacer(`\\`, `\`, `\(`, `(`, `\)`, `)`).Replace(string(m[1 : len(m)-3]))
			s, err := charmap.Windows1252.NewDecoder().String(raw)
			if err != nil {
				t.Fatal(err)
			}
			b.WriteString(s + "\n")
		}
		b.WriteString("---\n")
	}
	return b.String(), pages
}

func TestPDF(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		src  casefile.Source
	}{
		{"case", night()},
		{"order", alone()},
		{"bare", bare()},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			pdf, err := casefile.Uncompressed(casefile.NewView(tt.src))
			if err != nil {
				t.Fatal(err)
			}
			text, pages := textOf(t, pdf)
			golden(t, tt.name+".txt", text)
			if pages < 1 || pages > 3 {
				t.Errorf("%d pages, want 1 to 3", pages)
			}
		})
	}
}

// alone is an order that belongs to no case.
func alone() casefile.Source {
	src := night()
	return casefile.Source{MadeAt: src.MadeAt, MadeBy: src.MadeBy, Organisation: src.Organisation, Commands: src.Commands[2:], Orders: src.Orders, Audit: src.Audit}
}

// bare is a rehearsal of which next to nothing is known.
func bare() casefile.Source {
	return casefile.Source{
		MadeAt: at("18:00:00"),
		Case:   &casefile.Case{ID: "case-8", Kind: "lost", State: "open", Drill: "dry", Reported: at("17:00:00")},
		Audit:  casefile.Audit{Problem: "the stored tree is not the one that was signed."},
	}
}

// TestLongCase: hundreds of locations do not hide the rest, and a row that is longer than
// a page still comes out whole.
func TestLongCase(t *testing.T) {
	t.Parallel()
	src := night()
	for i := range 300 {
		when := at("04:00:00").Add(time.Duration(i) * 15 * time.Minute)
		src.Commands = append(src.Commands, casefile.Command{RequestType: "DeviceLocation", State: "accepted", Queued: when, Delivered: when, Answered: when})
		src.Timeline = append(src.Timeline, casefile.Event{At: when, Kind: "location received", Text: "The device told where it is"})
	}
	pdf, err := casefile.Uncompressed(casefile.NewView(src))
	if err != nil {
		t.Fatal(err)
	}
	text, pages := textOf(t, pdf)
	if pages > 4 || strings.Count(text, "298 more like these") != 2 {
		t.Errorf("%d pages, want 4 at most, and two runs folded:\n%s", pages, text)
	}

	var words []string
	for i := range 3000 {
		words = append(words, fmt.Sprintf("word%d", i))
	}
	src.Case.Note = strings.Join(words, " ") + " " + strings.Repeat("x", 500)
	src.Timeline = []casefile.Event{{At: src.MadeAt, Kind: "reported", Text: src.Case.Note}}
	if pdf, err = casefile.Uncompressed(casefile.NewView(src)); err != nil {
		t.Fatal(err)
	}
	text, _ = textOf(t, pdf)
	if n := strings.Count(text, "word2999"); n != 2 {
		t.Errorf("the last word of a long note stands %d times, want 2", n)
	}
	if n := strings.Count(text, "x"); n < 1000 {
		t.Errorf("of a word of 500 letters, twice, %d letters are shown", n)
	}
}

// TestPageNumbers: what people write can't be taken for the number of pages.
func TestPageNumbers(t *testing.T) {
	t.Parallel()
	src := bare()
	src.Case.Note = "{nb} \x01 here"
	pdf, err := casefile.Uncompressed(casefile.NewView(src))
	if err != nil {
		t.Fatal(err)
	}
	text, _ := textOf(t, pdf)
	if !strings.Contains(text, "{nb}   here\n") || !strings.Contains(text, "Page 1 of 1\n") {
		t.Errorf("got\n%s\nwant the note as it is and the page's number", text)
	}
}

func TestLatin(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, in, want string
		whole          bool
	}{
		{"English", "A&E (bay 3)", "A&E (bay 3)", true},
		{"what the fonts have", "Joël’s café – £5 €", "Jo\xebl\x92s caf\xe9 \x96 \xa35 \x80", true},
		{"composed on the way", "e\u0301", "\xe9", true},
		{"an accent dropped", "Őry Žiža Łukasz", "Ory \x8ei\x9ea Lukasz", false},
		{"another script", "中文 ok", "?? ok", false},
		{"lines and controls", "a\nb\tc\x00d\u0085e\u200bf", "a\nb c d ef", true},
		{"text turned round", "a\u202eb", "a?b", false},
		{"a picture", "👩‍⚕️", "??", false},
		{"broken UTF-8", "a\xffb", "a?b", false},
		{"nothing", "", "", true},
	} {
		got, whole := casefile.Latin(tt.in)
		if got != tt.want || whole != tt.whole {
			t.Errorf("%s: latin(%q) = %q, %t; want %q, %t", tt.name, tt.in, got, whole, tt.want, tt.whole)
		}
	}
}

// FuzzPDF: whatever a person writes, a document comes out, and nothing in it passes for
// the sign that stands for the number of pages.
func FuzzPDF(f *testing.F) {
	for _, s := range []string{"", "left on a bus", "a\r\nb\x01{nb}", "(\\)", strings.Repeat("x", 300), "中\u202e👩‍⚕️\xff", strings.Repeat("a ", 2000)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, note string) {
		src := bare()
		src.Case.Note, src.Case.LastSeenWhere, src.Organisation = note, note, note
		src.Timeline = []casefile.Event{{At: src.MadeAt, Kind: note, Text: note, By: casefile.By{Name: note}}}
		pdf, err := casefile.Uncompressed(casefile.NewView(src))
		if err != nil {
			t.Fatal(err)
		}
		text, pages := textOf(t, pdf)
		if want := fmt.Sprintf("Page %d of %d\n", pages, pages); !strings.Contains(text, want) {
			t.Errorf("no %q on the last of %d pages", want, pages)
		}
	})
}
