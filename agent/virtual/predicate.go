package virtual

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"
)

// predicate is the condition of an activation: a part of Apple's NSPredicate language.
// It knows @status(item), @property(key), strings, numbers, TRUE, FALSE, NULL and lists
// in braces; ==, =, !=, <>, <, <=, >, >=, IN, BEGINSWITH, ENDSWITH and CONTAINS; AND, OR,
// NOT, &&, ||, ! and brackets; TRUEPREDICATE and FALSEPREDICATE. Everything else cannot
// be parsed. Source: Apple, "Predicate Format String Syntax", and ActivationSimple.
type predicate func(lookup) (bool, error)

// lookup finds the value of a status item or a property; ok is false where there is none.
type lookup func(kind, name string) (v any, ok bool)

// operand is one side of a comparison.
type operand func(lookup) (any, error)

// maxPredicate bounds the length of a predicate, and with it the depth of its brackets.
const maxPredicate = 4 << 10

var errPredicate = errors.New("the predicate cannot be parsed")

// parsePredicate reads a predicate. Errors wrap errPredicate.
func parsePredicate(s string) (predicate, error) {
	if len(s) > maxPredicate {
		return nil, fmt.Errorf("%w: it is too long", errPredicate)
	}
	words, err := lex(s)
	if err != nil {
		return nil, err
	}
	p := &predicateParser{words: words}
	f, err := p.either()
	if err == nil && p.at < len(p.words) {
		err = p.unexpected()
	}
	if err != nil {
		return nil, err
	}
	return f, nil
}

// token is one word of a predicate: a string, a number, a mark or a name.
type token struct {
	kind byte // 's', 'n', 'm' or 'w'
	text string
}

// lex divides a predicate into words.
func lex(s string) ([]token, error) {
	var out []token
	for r := strings.TrimLeftFunc(s, unicode.IsSpace); r != ""; r = strings.TrimLeftFunc(r, unicode.IsSpace) {
		switch c := r[0]; {
		case c == '"' || c == '\'':
			text, rest, err := quoted(r)
			if err != nil {
				return nil, err
			}
			out, r = append(out, token{'s', text}), rest
		case c >= '0' && c <= '9' || c == '-' && len(r) > 1 && r[1] >= '0' && r[1] <= '9':
			n := 1 + span(r[1:], func(c rune) bool { return unicode.IsDigit(c) || c == '.' })
			out, r = append(out, token{'n', r[:n]}), r[n:]
		case c == '@' || c == '_' || unicode.IsLetter(rune(c)):
			n := 1 + span(r[1:], func(c rune) bool { return unicode.IsLetter(c) || unicode.IsDigit(c) || c == '_' })
			out, r = append(out, token{'w', r[:n]}), r[n:]
			if c != '@' {
				break
			}
			end := strings.IndexByte(r, ')')
			if !strings.HasPrefix(r, "(") || end < 2 {
				return nil, fmt.Errorf("%w: after %s a name in brackets is wanted", errPredicate, out[len(out)-1].text)
			}
			out, r = append(out, token{'s', strings.Trim(r[1:end], " \"'")}), r[end+1:]
		default:
			n := mark(r)
			if n == 0 {
				return nil, fmt.Errorf("%w: %q is not expected", errPredicate, c)
			}
			out, r = append(out, token{'m', r[:n]}), r[n:]
		}
	}
	return out, nil
}

// mark returns the length of the mark at the beginning of s, 0 for none.
func mark(s string) int {
	for _, m := range []string{"==", "!=", "<>", "<=", ">=", "=<", "=>", "&&", "||", "<", ">", "=", "!", "(", ")", "{", "}", ","} {
		if strings.HasPrefix(s, m) {
			return len(m)
		}
	}
	return 0
}

func span(s string, in func(rune) bool) int {
	if n := strings.IndexFunc(s, func(c rune) bool { return !in(c) }); n >= 0 {
		return n
	}
	return len(s)
}

func quoted(s string) (text, rest string, err error) {
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == s[0]:
			return b.String(), s[i+1:], nil
		case s[i] == '\\' && i+1 < len(s):
			i++
		}
		b.WriteByte(s[i])
	}
	return "", "", fmt.Errorf("%w: a string does not end", errPredicate)
}

// predicateParser reads words from left to right.
type predicateParser struct {
	words []token
	at    int
}

func (p *predicateParser) unexpected() error {
	if p.at >= len(p.words) {
		return fmt.Errorf("%w: it ends too soon", errPredicate)
	}
	return fmt.Errorf("%w: %q is not expected", errPredicate, p.words[p.at].text)
}

// take moves on if the next word is one of these, and returns it.
func (p *predicateParser) take(texts ...string) string {
	if p.at >= len(p.words) || p.words[p.at].kind == 's' {
		return ""
	}
	for _, t := range texts {
		if strings.EqualFold(p.words[p.at].text, t) {
			p.at++
			return t
		}
	}
	return ""
}

func (p *predicateParser) either() (predicate, error) {
	return p.chain(p.both, func(a, b predicate) predicate {
		return func(l lookup) (bool, error) {
			if ok, err := a(l); ok || err != nil {
				return ok, err
			}
			return b(l)
		}
	}, "OR", "||")
}

func (p *predicateParser) both() (predicate, error) {
	return p.chain(p.not, func(a, b predicate) predicate {
		return func(l lookup) (bool, error) {
			if ok, err := a(l); !ok || err != nil {
				return false, err
			}
			return b(l)
		}
	}, "AND", "&&")
}

// chain reads parts that a word joins.
func (p *predicateParser) chain(part func() (predicate, error), join func(a, b predicate) predicate, words ...string) (predicate, error) {
	f, err := part()
	for err == nil && p.take(words...) != "" {
		var g predicate
		if g, err = part(); err == nil {
			f = join(f, g)
		}
	}
	return f, err
}

func (p *predicateParser) not() (predicate, error) {
	if p.take("NOT", "!") != "" {
		f, err := p.not()
		if err != nil {
			return nil, err
		}
		return func(l lookup) (bool, error) {
			ok, err := f(l)
			return !ok && err == nil, err
		}, nil
	}
	if p.take("(") != "" {
		f, err := p.either()
		if err == nil && p.take(")") == "" {
			err = p.unexpected()
		}
		return f, err
	}
	switch p.take("TRUEPREDICATE", "FALSEPREDICATE") {
	case "TRUEPREDICATE":
		return func(lookup) (bool, error) { return true, nil }, nil
	case "FALSEPREDICATE":
		return func(lookup) (bool, error) { return false, nil }, nil
	}
	return p.comparison()
}

func (p *predicateParser) comparison() (predicate, error) {
	a, err := p.operand()
	if err != nil {
		return nil, err
	}
	op := p.take("==", "=", "!=", "<>", "<=", "=<", ">=", "=>", "<", ">", "IN", "BEGINSWITH", "ENDSWITH", "CONTAINS")
	if op == "" {
		return nil, p.unexpected()
	}
	b, err := p.operand()
	if err != nil {
		return nil, err
	}
	return func(l lookup) (bool, error) {
		x, err := a(l)
		if err != nil {
			return false, err
		}
		y, err := b(l)
		if err != nil {
			return false, err
		}
		return compare(op, x, y)
	}, nil
}

// operand reads a value.
func (p *predicateParser) operand() (operand, error) {
	if p.at >= len(p.words) {
		return nil, p.unexpected()
	}
	t := p.words[p.at]
	p.at++
	constant := func(v any) (operand, error) { return func(lookup) (any, error) { return v, nil }, nil }
	switch {
	case t.kind == 's':
		return constant(t.text)
	case t.kind == 'n':
		n, err := strconv.ParseFloat(t.text, 64)
		if err != nil {
			return nil, fmt.Errorf("%w: %s is no number", errPredicate, t.text)
		}
		return constant(n)
	case t.kind == 'm' && t.text == "{":
		return p.set()
	case t.kind == 'w' && (t.text == "@status" || t.text == "@property"):
		name := p.words[p.at].text // lex has put it there
		p.at++
		return func(l lookup) (any, error) {
			v, ok := l(t.text[1:], name)
			if !ok && t.text == "@status" {
				return nil, fmt.Errorf("the device has no status item %s", name)
			}
			return v, nil
		}, nil
	}
	switch strings.ToUpper(t.text) {
	case "TRUE", "YES":
		return constant(true)
	case "FALSE", "NO":
		return constant(false)
	case "NULL", "NIL":
		return constant(nil)
	}
	p.at--
	return nil, p.unexpected()
}

// set reads a list in braces, whose opening is read already.
func (p *predicateParser) set() (operand, error) {
	var parts []operand
	for p.take("}") == "" {
		if len(parts) > 0 && p.take(",") == "" {
			return nil, p.unexpected()
		}
		x, err := p.operand()
		if err != nil {
			return nil, err
		}
		parts = append(parts, x)
	}
	return func(l lookup) (any, error) {
		out := make([]any, 0, len(parts))
		for _, x := range parts {
			v, err := x(l)
			if err != nil {
				return nil, err
			}
			out = append(out, v)
		}
		return out, nil
	}, nil
}
