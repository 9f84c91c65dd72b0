package ward

import (
	"errors"
	"fmt"
	"strings"
)

// Kind sorts errors by what the person who meets one can do about it.
type Kind string

// The kinds. Internal is the kind of every error that is not an *Error.
const (
	Invalid         Kind = "invalid"
	NotFound        Kind = "not_found"
	Conflict        Kind = "conflict"
	Forbidden       Kind = "forbidden"
	Unauthenticated Kind = "unauthenticated"
	Unavailable     Kind = "unavailable"
	Internal        Kind = "internal"
)

// Error is an error that a person may read. Message is safe to show and names the
// cure; Err, which may be nil, is for the log. Details lists every mistake found
// when there are several.
type Error struct {
	Kind    Kind
	Message string
	Details []string
	Err     error
}

// Error returns the message with its details and cause, for logs and terminals.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Message)
	for _, d := range e.Details {
		b.WriteString("\n  - ")
		b.WriteString(d)
	}
	if e.Err != nil {
		b.WriteString(": ")
		b.WriteString(e.Err.Error())
	}
	return b.String()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Errorf returns an error for people with the formatted message and no cause.
func Errorf(k Kind, format string, args ...any) *Error {
	return &Error{Kind: k, Message: fmt.Sprintf(format, args...)}
}

// Because returns e with its cause set, which is for the log only.
func (e *Error) Because(err error) *Error {
	c := *e
	c.Err = err
	return &c
}

// KindOf returns the kind of err: Internal for one that is not an *Error, the empty
// kind for nil.
func KindOf(err error) Kind {
	if err == nil {
		return ""
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	return Internal
}
