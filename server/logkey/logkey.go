// Package logkey names the fields of log lines, so that one thing has one name in
// every line. It logs nothing itself. No key here is for a secret, and none is for what
// a person typed.
package logkey

// The fields. Identifiers are opaque: they name no one to a reader of the log alone.
const (
	RequestID = "request_id"
	Method    = "method"
	Route     = "route" // the pattern that matched, never the path: paths hold one-time links
	Status    = "status"
	Duration  = "duration"
	Bytes     = "bytes" // of the answer's body
	Kind      = "kind"  // a ward.Kind
	Stack     = "stack"

	Person     = "person"
	Device     = "device"
	Enrolment  = "enrolment"
	Channel    = "channel"
	Invitation = "invitation"
	Command    = "command"
	Request    = "request_type"
	Case       = "case"
	Order      = "order"
	Serial     = "serial"
	Topic      = "topic"
	Generation = "generation"
	Count      = "count"
)
