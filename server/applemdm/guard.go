package applemdm

import (
	"bytes"
	"errors"
	"fmt"
)

// Limits of what a device may send. An inventory of a thousand apps is about 600 KB.
const (
	maxBody  = 4 << 20
	maxDepth = 32
)

var (
	errNotXML = errors.New("the body is not an XML property list")
	errDeep   = fmt.Errorf("the property list is nested deeper than %d", maxDepth)
	errBroken = errors.New("the property list's tags are not balanced")
)

// guard refuses a body that the property list decoder must not see: a binary list can
// be cyclic and a deep one exhausts the stack, and either kills the process. It counts
// how deep elements nest without allocating.
func guard(body []byte) error {
	b := bytes.TrimLeft(body, " \t\r\n")
	b = bytes.TrimPrefix(b, []byte("\xef\xbb\xbf"))
	if !bytes.HasPrefix(b, []byte("<")) {
		return errNotXML
	}
	depth := 0
	for {
		i := bytes.IndexByte(b, '<')
		if i < 0 {
			if depth != 0 {
				return errBroken
			}
			return nil
		}
		b = b[i:]
		var err error
		if b, depth, err = element(b, depth); err != nil {
			return err
		}
	}
}

// element reads one piece of markup at the start of b and returns what follows it and
// the depth there.
func element(b []byte, depth int) ([]byte, int, error) {
	switch {
	case bytes.HasPrefix(b, []byte("<!--")):
		return after(b[4:], "-->", depth)
	case bytes.HasPrefix(b, []byte("<![CDATA[")):
		return after(b[9:], "]]>", depth)
	case bytes.HasPrefix(b, []byte("<?")):
		return after(b[2:], "?>", depth)
	case bytes.HasPrefix(b, []byte("<!")): // the document type; an internal subset has no place here
		end := tagEnd(b)
		if end < 0 || bytes.ContainsAny(b[1:end], "<[") { // nor has a comment, in which quotes mean nothing
			return nil, depth, errBroken
		}
		return b[end+1:], depth, nil
	}
	end := tagEnd(b)
	if end < 0 {
		return nil, depth, errBroken
	}
	switch {
	case bytes.HasPrefix(b, []byte("</")):
		depth--
	case b[end-1] != '/':
		depth++
	}
	if depth > maxDepth {
		return nil, depth, errDeep
	}
	if depth < 0 {
		return nil, depth, errBroken
	}
	return b[end+1:], depth, nil
}

func after(b []byte, end string, depth int) ([]byte, int, error) {
	_, rest, ok := bytes.Cut(b, []byte(end))
	if !ok {
		return nil, depth, errBroken
	}
	return rest, depth, nil
}

// tagEnd returns the place of the '>' that ends the tag at the start of b, -1 if none
// does. One within quotes ends nothing.
func tagEnd(b []byte) int {
	quote := byte(0)
	for i, c := range b {
		switch {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '"' || c == '\'':
			quote = c
		case c == '>':
			return i
		}
	}
	return -1
}
