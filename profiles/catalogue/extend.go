package catalogue

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/xrash/smetrics"
	"go.yaml.in/yaml/v3"

	"github.com/wardmdm/ward"
)

// MaxSiteSize is the size in bytes above which a site's file is refused unread.
const MaxSiteSize = 1 << 20

// Extend adds what a site knows to a catalogue, which stays as it is. data has the shape
// of Ward's own file: a list of apps. One whose slug the catalogue has gets identifiers,
// aliases and shares_with from it; any other is a new app. A grade that is not given is B,
// a status active. A file without apps adds nothing.
//
// If the file is wrong the error is a *ward.Error of the kind Invalid whose Details list
// every mistake with file, line, column and, for a name, the nearest right one.
func Extend(base *Catalogue, file string, data []byte) (*Catalogue, error) {
	if len(data) > MaxSiteSize {
		return nil, ward.Errorf(ward.Invalid, "The site's catalogue %s is larger than %d bytes.", file, MaxSiteSize)
	}
	s := &site{file: file, c: base.clone()}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var root, more yaml.Node
	err := dec.Decode(&root)
	switch {
	case errors.Is(err, io.EOF):
		return s.c, nil
	case err != nil:
		return nil, s.notYAML(err)
	}
	switch err := dec.Decode(&more); {
	case err == nil:
		s.wrong(&more, "the file must hold one document; what follows --- would be ignored")
	case !errors.Is(err, io.EOF):
		return nil, s.notYAML(err)
	}
	for _, top := range root.Content {
		if top.ShortTag() == "!!null" {
			continue
		}
		s.each(top, "the site's catalogue", s.app)
	}
	s.relations()
	s.duplicates()
	if err := s.err(); err != nil {
		return nil, err
	}
	return newCatalogue(s.c.apps), nil
}

// site reads one file of a site's own into a catalogue.
type site struct {
	file     string
	c        *Catalogue
	seen     map[string]bool // slugs of this file
	related  []placed        // slugs that forks_of and shares_with name
	added    []placed        // identifiers of this file
	mistakes []mistake
}

// placed is a name with the place where it stands.
type placed struct {
	node       *yaml.Node
	app        int
	kind, name string
}

type mistake struct {
	line, column int
	text         string
}

func (s *site) wrong(n *yaml.Node, format string, args ...any) {
	s.mistakes = append(s.mistakes, mistake{line: n.Line, column: n.Column, text: fmt.Sprintf(format, args...)})
}

func (s *site) notYAML(err error) error {
	return &ward.Error{
		Kind: ward.Invalid, Message: fmt.Sprintf("The site's catalogue %s is not YAML.", s.file),
		Details: []string{s.file + " " + strings.TrimPrefix(err.Error(), "yaml: ")},
	}
}

// err returns all mistakes in the order of the file, nil if there are none.
func (s *site) err() error {
	if len(s.mistakes) == 0 {
		return nil
	}
	slices.SortStableFunc(s.mistakes, func(a, b mistake) int {
		return cmp.Or(cmp.Compare(a.line, b.line), cmp.Compare(a.column, b.column))
	})
	e := ward.Errorf(ward.Invalid, "The site's catalogue has %d mistakes.", len(s.mistakes))
	if len(s.mistakes) == 1 {
		e = ward.Errorf(ward.Invalid, "The site's catalogue has one mistake.")
	}
	for _, m := range s.mistakes {
		e.Details = append(e.Details, fmt.Sprintf("%s line %d, column %d: %s", s.file, m.line, m.column, m.text))
	}
	return e
}

// suggest returns "; did you mean ...?" with the nearest of names, "" if none is near.
func suggest(word string, names []string) string {
	best, bestDistance := "", min(len(word)/3+2, len(word))
	for _, n := range names {
		if len(word) > 64 || len(n) > 64 {
			continue
		}
		if d := smetrics.WagnerFischer(strings.ToLower(word), strings.ToLower(n), 1, 1, 1); d < bestDistance {
			best, bestDistance = n, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", best)
}
