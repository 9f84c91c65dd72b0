package agent

import (
	"context"
	"errors"
	"fmt"
	"maps"
)

// ErrNotCommand says that what the server sent is no command. Asking again will not
// help.
var ErrNotCommand = errors.New("not a command")

// Command is one command from the server.
type Command struct {
	UUID        string
	RequestType string
	Payload     map[string]any // the Command dictionary; never nil
	Raw         []byte         // the whole message
}

// Status is the state of a command in a report to the server.
// Source: Apple, "CommandResponse" (Status).
type Status string

// The states. Idle is what a device reports when it asks for work.
const (
	Acknowledged       Status = "Acknowledged"
	Error              Status = "Error"
	NotNow             Status = "NotNow"
	CommandFormatError Status = "CommandFormatError"
	Idle               Status = "Idle"
)

// ErrorItem is one link of an ErrorChain.
type ErrorItem struct {
	ErrorCode            int
	ErrorDomain          string
	LocalizedDescription string
	USEnglishDescription string
}

// Response is the answer to a command.
type Response struct {
	Status     Status
	Fields     map[string]any // keys beside the common ones; none may be nil
	ErrorChain []ErrorItem
	Then       Then
	// After is run when the server has the answer and no command is left; nil for nothing.
	After Errand
}

// Errand is what a device has to do with its server beside commands. It may speak through
// the Client. One that fails for a reason that may pass is run again later.
type Errand func(ctx context.Context) error

// Then is what happens after an answer was sent.
type Then int

// The things that may follow an answer.
const (
	Continue Then = iota // ask for the next command
	Leave                // end management: check out if the profile says so, forget the identity
	Vanish               // the device is erased: forget everything without another word
	Lose                 // the connection is lost instead: the answer is never sent
)

// Handler does what commands say. It is called for one command at a time.
type Handler interface {
	Handle(ctx context.Context, c Command) Response
}

// HandlerFunc makes a Handler of a function.
type HandlerFunc func(ctx context.Context, c Command) Response

// Handle calls f.
func (f HandlerFunc) Handle(ctx context.Context, c Command) Response { return f(ctx, c) }

// ParseCommand reads a command. A message that has a CommandUUID but is otherwise not a
// command gives a Command with that UUID beside the error, so that it can be answered
// with CommandFormatError.
func ParseCommand(data []byte) (Command, error) {
	var top map[string]any
	if err := DecodePlist(data, MaxCommandBytes, &top); err != nil {
		return Command{}, fmt.Errorf("%w: %w", ErrNotCommand, err)
	}
	c := Command{UUID: text(top, "CommandUUID"), Raw: data}
	if c.UUID == "" {
		return Command{}, fmt.Errorf("%w: it has no CommandUUID", ErrNotCommand)
	}
	c.Payload, _ = top["Command"].(map[string]any)
	if c.RequestType = text(c.Payload, "RequestType"); c.RequestType == "" {
		return c, fmt.Errorf("%w: %s has no RequestType", ErrNotCommand, c.UUID)
	}
	return c, nil
}

// String returns the string under key in the command, or "".
func (c Command) String(key string) string { return text(c.Payload, key) }

// report is the body of a message to the server's command address.
func report(e *Enrolment, uuid string, r Response) ([]byte, error) {
	m := map[string]any{}
	maps.Copy(m, r.Fields)
	m["Status"] = string(r.Status)
	e.identify(m)
	if uuid != "" {
		m["CommandUUID"] = uuid
	}
	if len(r.ErrorChain) > 0 {
		m["ErrorChain"] = r.ErrorChain
	}
	return EncodePlist(m)
}
