package source

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/wardmdm/ward"
)

// Exempt returns the text of a policy with one exception more, its last. Nothing else of
// the text changes: not a line, not a comment. The result has been read and says what the
// text said and the exception; a mistake in the exception is an error as Parse has it. A
// text whose list of exceptions stands in one line can't be added to so, which is a
// Conflict: ExemptionLines are to be put there by hand.
func Exempt(text []byte, in Inputs, e Exception) ([]byte, error) {
	was, err := Parse(text, in)
	if err != nil {
		return nil, err
	}
	out, err := insertException(string(text), e)
	if err != nil {
		return nil, err
	}
	is, err := Parse(out, in)
	if err != nil {
		return nil, err
	}
	n := len(was.Exceptions)
	if len(is.Exceptions) != n+1 || !slices.EqualFunc(was.Exceptions, is.Exceptions[:n], sameException) || !sameException(is.Exceptions[n], e) {
		return nil, unfit()
	}
	return out, nil
}

// sameException reports whether two exceptions say the same, wherever they stand. The
// name of the app is the catalogue's, and no part of what is said.
func sameException(a, b Exception) bool {
	x, y := a.Exception, b.Exception
	x.AppName, y.AppName = "", ""
	return x == y && a.For == b.For && a.From.Equal(b.From)
}

func unfit() error {
	return ward.Errorf(ward.Conflict, "The exceptions of this policy are written in a way that can’t be added to by itself: put the lines there by hand.")
}

// insertException puts the lines of an exception where they belong.
func insertException(text string, e Exception) ([]byte, error) {
	root, err := decode([]byte(text))
	if err != nil {
		return nil, err
	}
	m := root.node
	if m.Kind == yaml.DocumentNode && len(m.Content) > 0 {
		m = m.Content[0]
	}
	if m.Kind != yaml.MappingNode || m.Style&yaml.FlowStyle != 0 {
		return nil, unfit()
	}
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	at := slices.IndexFunc(m.Content, func(n *yaml.Node) bool { return n.Value == "exceptions" })
	for at >= 0 && at%2 == 1 { // a value of that text
		next := slices.IndexFunc(m.Content[at+1:], func(n *yaml.Node) bool { return n.Value == "exceptions" })
		if next < 0 {
			at = -1
			break
		}
		at += 1 + next
	}
	if at < 0 {
		return ofLines(append(lines, "", "exceptions:", strings.TrimRight(ExemptionLines(e, 2), "\n"))), nil
	}
	list := m.Content[at+1]
	if list.Kind != yaml.SequenceNode || list.Style&yaml.FlowStyle != 0 || len(list.Content) == 0 {
		return nil, unfit()
	}
	end := len(lines)
	if at+2 < len(m.Content) {
		end = m.Content[at+2].Line - 1
		for end > 0 && (strings.TrimSpace(lines[end-1]) == "" || strings.HasPrefix(lines[end-1], "#")) {
			end-- // what stands above the next section belongs to it
		}
	}
	first := lines[list.Content[0].Line-1]
	indent := strings.Index(first, "-")
	if indent < 0 || strings.TrimSpace(first[:indent]) != "" {
		return nil, unfit()
	}
	return ofLines(slices.Insert(lines, end, strings.TrimRight(ExemptionLines(e, indent), "\n"))), nil
}

func ofLines(lines []string) []byte { return []byte(strings.Join(lines, "\n") + "\n") }

// ExemptionLines are the lines of an exception as a policy has them, behind so many
// spaces.
func ExemptionLines(e Exception, indent int) string {
	text := func(v string) *yaml.Node { return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: v} }
	date := func(t time.Time) *yaml.Node {
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!timestamp", Value: t.Format(time.DateOnly)}
	}
	whom := &yaml.Node{Kind: yaml.MappingNode, Style: yaml.FlowStyle, Content: []*yaml.Node{text(string(e.For.Kind)), text(e.For.Value)}}
	item := &yaml.Node{Kind: yaml.MappingNode, Content: []*yaml.Node{
		text("id"), text(e.ID), text("app"), text(e.App), text("for"), whom, text("who"), text(e.Who), text("reason"), text(e.Reason),
		text("approver"), text(e.Approver), text("from"), date(e.From), text("expires"), date(e.Expires), text("review"), text(e.Review),
	}}
	var b bytes.Buffer
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	if err := enc.Encode(&yaml.Node{Kind: yaml.SequenceNode, Content: []*yaml.Node{item}}); err != nil {
		return fmt.Sprintf("# %v\n", err) // texts and dates can always be written
	}
	pad := strings.Repeat(" ", indent)
	var out strings.Builder
	for l := range strings.Lines(b.String()) {
		if strings.TrimSpace(l) != "" {
			l = pad + l
		}
		out.WriteString(l)
	}
	return out.String()
}

// Concerns reports whether an exception is about a device, whether or not it holds now.
func (p *Policy) Concerns(e Exception, d ward.Device) bool {
	switch e.For.Kind {
	case ForDevice:
		return e.For.Value == string(d.ID) || d.Serial != "" && e.For.Value == d.Serial
	case ForOwner:
		return strings.EqualFold(e.For.Value, d.Email)
	case ForGroup:
		return p.covers(e.For, &d, p.matching(&d, nil))
	case ForWard, ForSite:
		return p.covers(e.For, &d, nil)
	}
	return false
}
