package applemdm

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/micromdm/nanomdm/mdm"
)

// Nearly all that devices send is a few short messages in the very form that Apple's
// own encoder writes. What stands here reads that form alone, without reflection and
// without copying, at a tenth of the cost; whatever is unusual in the least is left to
// the library, whose word counts. A fuzz test holds the two against each other.

// nodeKind is what a node of a property list is.
type nodeKind byte

const (
	dictNode nodeKind = iota + 1
	arrayNode
	stringNode
	boolNode
	integerNode
	realNode
)

// node is a value in a property list.
type node struct {
	kind nodeKind
	key  string // in a dictionary
	text string // of a string or number; "true" or "false" of a boolean
	kids []node // of a dictionary or an array
}

// get returns the last value under a key of a dictionary, nil if there is none.
func (n *node) get(key string) *node {
	for i := len(n.kids) - 1; i >= 0; i-- {
		if n.kids[i].key == key {
			return &n.kids[i]
		}
	}
	return nil
}

// str reads the string under a key; a missing one is "". ok is false for another kind.
func (n *node) str(key string) (s string, ok bool) {
	v := n.get(key)
	if v == nil {
		return "", true
	}
	return v.text, v.kind == stringNode
}

func (n *node) boolean() (*bool, bool) {
	b := n.text == "true"
	return &b, n.kind == boolNode
}

func (n *node) real() (*float64, bool) {
	f, err := strconv.ParseFloat(n.text, 64)
	return &f, n.kind == realNode && err == nil
}

const (
	quickHead = `<?xml version="1.0" encoding="UTF-8"?>`
	quickType = `<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">`
	quickRoot = `<plist version="1.0">`
	quickFoot = `</plist>`
)

// quick reads a property list whose root is a dictionary. The guard has let it
// through, so it is nested only so deep. ok is false for what the library must read.
func quick(body []byte) (root node, ok bool) {
	if !plain(body) {
		return node{}, false
	}
	r := quickReader{string(body)}
	if !r.take(quickHead) {
		return node{}, false
	}
	r.space()
	r.take(quickType)
	r.space()
	if !r.take(quickRoot) {
		return node{}, false
	}
	root, ok = r.value()
	r.space()
	if !ok || root.kind != dictNode || !r.take(quickFoot) {
		return node{}, false
	}
	r.space()
	return root, r.rest == ""
}

// plain reports whether a body has no characters that XML treats specially: references,
// carriage returns, control characters, comments and the like.
func plain(body []byte) bool {
	for i, c := range body {
		switch {
		case c >= 0x80 || c == '&' || c == '\r' || c < ' ' && c != '\n' && c != '\t':
			return c >= 0x80 && plainText(body[i:])
		case c == ']' && i+2 < len(body) && body[i+1] == ']' && body[i+2] == '>':
			return false
		}
	}
	return true
}

// plainText is plain for text beyond ASCII.
func plainText(body []byte) bool {
	for len(body) > 0 {
		c, n := utf8.DecodeRune(body)
		switch {
		case c == utf8.RuneError && n == 1, c == 0xFFFE, c == 0xFFFF, c == '&', c == '\r', c < ' ' && c != '\n' && c != '\t':
			return false
		case c == ']' && strings.HasPrefix(string(body[:min(3, len(body))]), "]]>"):
			return false
		}
		body = body[n:]
	}
	return true
}

// quickReader reads a property list from the front of rest.
type quickReader struct{ rest string }

func (r *quickReader) take(s string) bool {
	rest, ok := strings.CutPrefix(r.rest, s)
	r.rest = rest
	return ok
}

func (r *quickReader) space() {
	i := 0
	for i < len(r.rest) && (r.rest[i] == ' ' || r.rest[i] == '\n' || r.rest[i] == '\t') {
		i++
	}
	r.rest = r.rest[i:]
}

// tag takes the next tag, without its brackets. ok is false where something else comes.
func (r *quickReader) tag() (name string, ok bool) {
	r.space()
	if !strings.HasPrefix(r.rest, "<") {
		return "", false
	}
	end := strings.IndexByte(r.rest, '>')
	if end < 0 {
		return "", false
	}
	name, r.rest = r.rest[1:end], r.rest[end+1:]
	return name, true
}

// text takes what stands before the end tag.
func (r *quickReader) text(end string) (string, bool) {
	i := strings.IndexByte(r.rest, '<')
	if i < 0 {
		return "", false
	}
	s := r.rest[:i]
	r.rest = r.rest[i:]
	return s, r.take(end)
}

func (r *quickReader) value() (node, bool) {
	name, ok := r.tag()
	if !ok {
		return node{}, false
	}
	return r.element(name)
}

func (r *quickReader) element(name string) (n node, ok bool) {
	switch name {
	case "string":
		n.kind = stringNode
		n.text, ok = r.text("</string>")
		return n, ok
	case "string/":
		return node{kind: stringNode}, true
	case "true/", "false/":
		return node{kind: boolNode, text: strings.TrimSuffix(name, "/")}, true
	case "integer":
		n.kind = integerNode
		n.text, ok = r.text("</integer>")
		return n, ok && simple(n.text, "0123456789")
	case "real":
		n.kind = realNode
		n.text, ok = r.text("</real>")
		return n, ok && simple(n.text, "0123456789.")
	case "dict/":
		return node{kind: dictNode}, true
	case "array/":
		return node{kind: arrayNode}, true
	case "dict":
		return r.dict()
	case "array":
		return r.array()
	}
	return node{}, false // data and dates too: the library judges their content
}

// simple reports whether a number is one of few digits, with one point at most between
// them, which every reader takes.
func simple(s, digits string) bool {
	return len(s) > 0 && len(s) < 17 && strings.Trim(s, digits) == "" && strings.Count(s, ".") <= 1 && s[0] != '.' && s[len(s)-1] != '.'
}

func (r *quickReader) dict() (n node, ok bool) {
	n = node{kind: dictNode, kids: make([]node, 0, 8)}
	for {
		name, ok := r.tag()
		if !ok {
			return n, false
		}
		if name == "/dict" {
			return n, true
		}
		if name != "key" {
			return n, false
		}
		key, ok := r.text("</key>")
		if !ok {
			return n, false
		}
		v, ok := r.value()
		if !ok {
			return n, false
		}
		v.key = key
		n.kids = append(n.kids, v)
	}
}

func (r *quickReader) array() (n node, ok bool) {
	n.kind = arrayNode
	for {
		name, ok := r.tag()
		if !ok {
			return n, false
		}
		if name == "/array" {
			return n, true
		}
		v, ok := r.element(name)
		if !ok {
			return n, false
		}
		n.kids = append(n.kids, v)
	}
}

// quickResults reads what nanomdm's decoder reads of a report, unless it reports errors.
func quickResults(root *node, raw []byte) (m *mdm.CommandResults, ok bool) {
	if root.get("ErrorChain") != nil {
		return nil, false
	}
	m = &mdm.CommandResults{Raw: raw}
	for i := range root.kids {
		var field *string
		switch v := &root.kids[i]; v.key {
		case "UDID":
			field = &m.UDID
		case "UserID":
			field = &m.UserID
		case "UserShortName":
			field = &m.UserShortName
		case "UserLongName":
			field = &m.UserLongName
		case "EnrollmentID":
			field = &m.EnrollmentID
		case "EnrollmentUserID":
			field = &m.EnrollmentUserID
		case "CommandUUID":
			field = &m.CommandUUID
		case "Status":
			field = &m.Status
		default:
			continue
		}
		if root.kids[i].kind != stringNode {
			return nil, false
		}
		*field = root.kids[i].text
	}
	return m, m.Status != ""
}

// quickCommand reads what nanomdm's decoder reads of a command.
func quickCommand(root *node, raw []byte) (c *mdm.Command, ok bool) {
	command := root.get("Command")
	if command == nil || command.kind != dictNode {
		return nil, false
	}
	c = &mdm.Command{Raw: raw}
	if c.CommandUUID, ok = root.str("CommandUUID"); !ok {
		return nil, false
	}
	c.Command.RequestType, ok = command.str("RequestType")
	return c, ok && c.CommandUUID != "" && c.Command.RequestType != ""
}

// quickAnswer reads an answer that holds device information, or tells nothing that Ward
// reads; other answers are rarer.
func quickAnswer(root *node) (a answer, ok bool) {
	for i := range root.kids {
		switch root.kids[i].key {
		case "SecurityInfo", "InstalledApplicationList", "ManagedApplicationList", "ProfileList", "CertificateList",
			"Latitude", "Longitude", "HorizontalAccuracy", "Timestamp":
			return a, false
		}
	}
	q := root.get("QueryResponses")
	if q == nil {
		return a, true
	}
	if q.kind != dictNode {
		return a, false
	}
	a.QueryResponses = new(queryResponses)
	return a, a.QueryResponses.quick(q)
}

func (r *queryResponses) quick(q *node) bool {
	for i := range q.kids {
		v := &q.kids[i]
		ok := true
		switch v.key {
		case "DeviceName":
			r.DeviceName, ok = &v.text, v.kind == stringNode
		case "OSVersion":
			r.OSVersion, ok = &v.text, v.kind == stringNode
		case "ProductName":
			r.ProductName, ok = &v.text, v.kind == stringNode
		case "SerialNumber":
			r.SerialNumber, ok = &v.text, v.kind == stringNode
		case "IsSupervised":
			r.IsSupervised, ok = v.boolean()
		case "IsMDMLostModeEnabled":
			r.IsMDMLostModeEnabled, ok = v.boolean()
		case "BatteryLevel":
			r.BatteryLevel, ok = v.real()
		case "ServiceSubscriptions": // of lost phones alone
			return false
		}
		if !ok {
			return false
		}
	}
	return true
}
