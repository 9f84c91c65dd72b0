// Package casefile makes the file of a lost case, or of an order that belongs to none: a
// page's words, a PDF for people and a signed pack for programs, which all say the same.
// It judges nothing and looks nothing up: what it is given it renders, in words that are
// true. docs/case-file.md describes what comes out.
package casefile

import (
	"encoding/json"
	"time"

	"github.com/wardmdm/ward"
)

// Source is all that a file is made of. Its times may be zero where docs/case-file.md says
// that a thing may be unknown. Lists stand in the order in which they are to be read.
type Source struct {
	MadeAt       time.Time     `json:"made_at"`
	MadeBy       By            `json:"made_by,omitzero"`
	Organisation string        `json:"organisation,omitempty"`
	Case         *Case         `json:"case,omitempty"` // nil for an order without a case; then Orders holds that one
	Device       *Device       `json:"device,omitempty"`
	Commands     []Command     `json:"commands,omitempty"`
	Orders       []Order       `json:"orders,omitempty"`
	Locations    []Look        `json:"locations_asked,omitempty"`
	Certificates []Certificate `json:"certificates,omitempty"`
	Timeline     []Event       `json:"timeline,omitempty"`
	Assessment   *Assessment   `json:"assessment,omitempty"`
	Decisions    []Decision    `json:"decisions,omitempty"`
	Audit        Audit         `json:"audit"`
}

// By is who did a thing. Both fields are empty where Ward or a device did it.
type By struct {
	Person ward.PersonID `json:"person,omitempty"`
	Name   string        `json:"name,omitempty"`
}

// Case is one device that is missing, or was.
type Case struct {
	ID            ward.CaseID `json:"id"`
	Kind          string      `json:"kind"`            // "lost" or "stolen"
	State         string      `json:"state"`           // "open", "found" or "closed"
	Drill         string      `json:"drill,omitempty"` // "dry" or "live" for a rehearsal
	Reported      time.Time   `json:"reported_at"`
	ReportedBy    By          `json:"reported_by,omitzero"`
	Identified    string      `json:"identified,omitempty"` // how the reporter was known
	LastSeenWhere string      `json:"last_seen_where,omitempty"`
	LastSeen      time.Time   `json:"last_seen_at,omitzero"`  // by a person
	WasUnlocked   string      `json:"was_unlocked,omitempty"` // "yes", "no", or empty for not known
	DataOpen      string      `json:"data_open,omitempty"`    // whether patient data was open, likewise
	Note          string      `json:"note,omitempty"`         // in the reporter's words
	Aware         time.Time   `json:"aware_at,omitzero"`      // when the organisation became aware of it
	Found         time.Time   `json:"found_at,omitzero"`
	Closed        time.Time   `json:"closed_at,omitzero"`
	Message       string      `json:"message,omitempty"`  // what the device shows
	Phone         string      `json:"phone,omitempty"`    // likewise
	Footnote      string      `json:"footnote,omitempty"` // likewise
}

// Device is the device as it was known at AsOf: when it was reported, or when the file was
// made.
type Device struct {
	ID        ward.DeviceID `json:"id"`
	Name      string        `json:"name,omitempty"`
	Serial    string        `json:"serial_number,omitempty"`
	Model     string        `json:"model,omitempty"`
	Platform  string        `json:"platform,omitempty"`
	OSVersion string        `json:"os_version,omitempty"`
	Ownership string        `json:"ownership,omitempty"`
	Holder    string        `json:"holder,omitempty"`
	Email     string        `json:"email,omitempty"`
	Group     string        `json:"group,omitempty"`
	Site      string        `json:"site,omitempty"`
	Enrolled  time.Time     `json:"enrolled_at,omitzero"`
	LastSeen  time.Time     `json:"last_seen_at,omitzero"` // by the server, at that time
	AsOf      time.Time     `json:"as_of,omitzero"`
}

// Command is what was sent to a device. LastSeen and Afresh are of the device after the
// command: its last contact at all, and when it enrolled anew by another identity.
type Command struct {
	UUID        string           `json:"uuid"`
	Enrolment   ward.EnrolmentID `json:"enrolment"`
	Device      ward.DeviceID    `json:"device,omitempty"`
	RequestType string           `json:"request_type"`
	Order       ward.OrderID     `json:"order,omitempty"`
	State       string           `json:"state"` // in the words of package command
	AskedBy     By               `json:"asked_by,omitzero"`
	Queued      time.Time        `json:"queued_at"`
	Delivered   time.Time        `json:"delivered_at,omitzero"` // the last time
	Deliveries  int              `json:"deliveries,omitempty"`
	Deferred    time.Time        `json:"deferred_at,omitzero"`
	Answered    time.Time        `json:"answered_at,omitzero"` // or ended in another way
	Expires     time.Time        `json:"expires_at,omitzero"`
	Error       string           `json:"error,omitempty"` // why it was refused, taken back, held or withheld
	LastSeen    time.Time        `json:"last_seen_at,omitzero"`
	Afresh      time.Time        `json:"afresh_at,omitzero"`
	RawAnswer   []byte           `json:"raw_answer,omitempty"`      // what the device sent, if kept
	Withheld    string           `json:"answer_withheld,omitempty"` // why an answer that is kept does not stand in RawAnswer
}

// Order is a destructive order, with what is needed to check each approval again.
type Order struct {
	ID          ward.OrderID    `json:"id"`
	Kind        string          `json:"kind"`
	State       string          `json:"state"`
	Reason      string          `json:"reason,omitempty"`
	RequestedBy By              `json:"requested_by,omitzero"`
	Requested   time.Time       `json:"requested_at"`
	Due         time.Time       `json:"due_at,omitzero"`
	Expires     time.Time       `json:"expires_at,omitzero"`
	Drill       bool            `json:"drill,omitempty"`
	Options     json.RawMessage `json:"options,omitempty"`
	Hash        string          `json:"hash"`                // lower-case hexadecimal
	Statement   []byte          `json:"statement,omitempty"` // what Hash is the SHA-256 of
	Targets     []Target        `json:"targets,omitempty"`
	Approvals   []Approval      `json:"approvals,omitempty"`
	Closing     *Closing        `json:"closing,omitempty"`
}

// Target is one device of an order.
type Target struct {
	Device    ward.DeviceID    `json:"device"`
	Enrolment ward.EnrolmentID `json:"enrolment"`
	Name      string           `json:"name,omitempty"`
	Command   string           `json:"command,omitempty"` // UUID
	Outcome   string           `json:"outcome,omitempty"` // empty while nothing was queued
	Delivered time.Time        `json:"delivered_at,omitzero"`
	Answered  time.Time        `json:"answered_at,omitzero"`
	Error     string           `json:"error,omitempty"`
}

// Approval is one person's yes to exactly one order. It is Proven where the server verified
// it when the file was made: the signature, and that whoever gave it was an approver then.
// Of one that is not the file shows no PublicKey, for nothing says whose it is.
type Approval struct {
	Person    ward.PersonID `json:"person,omitempty"`
	Name      string        `json:"name,omitempty"`
	Subject   string        `json:"subject,omitempty"` // who the human being is
	Approver  string        `json:"approver,omitempty"`
	At        time.Time     `json:"at"`
	Hash      string        `json:"hash"`
	Glass     bool          `json:"glass,omitempty"` // by the sealed key
	Proven    bool          `json:"proven"`
	Unproven  string        `json:"unproven,omitempty"`   // why it is not Proven, in a sentence
	PublicKey []byte        `json:"public_key,omitempty"` // COSE_Key, or the sealed key
	Assertion *Assertion    `json:"assertion,omitempty"`
}

// Assertion is a WebAuthn assertion. Of the sealed key only the Signature is set.
// Source: https://www.w3.org/TR/webauthn-3/#sctn-verifying-assertion
type Assertion struct {
	Purpose           string `json:"purpose,omitempty"`
	Nonce             []byte `json:"nonce,omitempty"`
	ClientData        []byte `json:"client_data,omitempty"`
	AuthenticatorData []byte `json:"authenticator_data,omitempty"`
	Signature         []byte `json:"signature"`
}

// Closing says who ended an order, when and why.
type Closing struct {
	By     By        `json:"by,omitzero"`
	At     time.Time `json:"at"`
	Reason string    `json:"reason,omitempty"`
}

// Look is one deed with the device's location: asked for, received, or looked at.
type Look struct {
	At      time.Time `json:"at"`
	By      By        `json:"by,omitzero"`
	Deed    string    `json:"deed"` // in words, such as "asked for" or "looked at"
	Purpose string    `json:"purpose,omitempty"`
}

// Certificate is one that was revoked. List and Listed are the number and the time of the
// first revocation list that has it.
type Certificate struct {
	Serial  string    `json:"serial"`
	Use     string    `json:"use,omitempty"` // what it was for, in words
	Subject string    `json:"subject,omitempty"`
	Revoked time.Time `json:"revoked_at"`
	Reason  string    `json:"reason,omitempty"`
	List    string    `json:"crl_number,omitempty"`
	Listed  time.Time `json:"crl_at,omitzero"`
}

// Event is one entry of the timeline.
type Event struct {
	At   time.Time `json:"at"`
	Kind string    `json:"kind"`
	Text string    `json:"text"`
	By   By        `json:"by,omitzero"`
}

// Assessment is what is known of whether data was at risk.
type Assessment struct {
	Level    string    `json:"level"` // "low", "medium" or "high"
	Reasons  []string  `json:"reasons,omitempty"`
	Facts    []Fact    `json:"facts,omitempty"`
	Aware    time.Time `json:"aware_at,omitzero"`
	Deadline time.Time `json:"deadline_at,omitzero"`
}

// Fact is one thing that an assessment rests on. Known false means that nobody knows.
type Fact struct {
	Name  string    `json:"name"`
	Value string    `json:"value,omitempty"`
	Known bool      `json:"known"`
	Bad   bool      `json:"bad,omitempty"` // it counts towards the level
	At    time.Time `json:"at,omitzero"`
}

// Decision is what a person decided on the assessment. The last one counts.
type Decision struct {
	At         time.Time `json:"at"`
	By         By        `json:"by,omitzero"`
	Reportable bool      `json:"reportable"`
	Level      string    `json:"level,omitempty"` // that the assessment suggested at that time
	Reasoning  string    `json:"reasoning"`
	Reference  string    `json:"reference,omitempty"`
	Link       string    `json:"link,omitempty"`
}
