package source

import (
	"slices"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/wardmdm/ward/profiles/intent"
)

// LostWords are what a policy says of lost devices: what a phone shows to its finder, of
// which empty words fall back to Ward's, and what becomes of the case by itself, which is
// intent.DefaultEscalation where nothing else is said.
type LostWords struct {
	Message  string
	Phone    string
	Footnote string

	Escalation intent.Escalation
}

// What an escalation may be given. Locating for longer than a week would be watching, not
// searching; a person may still ask where the phone is.
const (
	minLocateEvery = 5 * time.Minute
	maxLocateEvery = day
	minLocateFor   = 5 * time.Minute
	maxLocateFor   = 7 * day
	minPropose     = time.Hour
	maxPropose     = 90 * day
)

func (r *reader) lost() shape {
	w := &r.policy.Lost
	return r.object(object{what: "lost", doc: "What the finder of a lost phone reads, and what becomes of its case by itself.", fields: []field{
		{name: "message", shape: r.text("message", &w.Message)},
		{name: "phone", doc: "The number to call.", shape: r.text("phone", &w.Phone)},
		{name: "footnote", shape: r.text("footnote", &w.Footnote)},
		{name: "escalation", shape: r.escalation(&w.Escalation)},
	}})
}

func (r *reader) escalation(into *intent.Escalation) shape {
	var signs []intent.Sign
	fields := []field{
		{name: "locate_every", doc: "How often a phone in lost mode is asked where it is; 15m unless said.", shape: r.duration("locate_every", minLocateEvery, maxLocateEvery, &into.LocateEvery)},
		{name: "locate_for", doc: "For how long, from when it went into lost mode; 4h unless said. It is asked once at least.", shape: r.duration("locate_for", minLocateFor, maxLocateFor, &into.LocateFor)},
		{name: "propose_erase_after", doc: "How long after the report an erase is proposed to two approvers; 24h unless said.", shape: r.duration("propose_erase_after", minPropose, maxPropose, &into.ProposeAfter)},
		{name: "propose_erase_when", doc: "The signs on which it is proposed at once; both unless said, none for an empty list.", shape: words(r, "propose_erase_when", intent.Signs(), &signs)},
	}
	for _, name := range []string{"erase_after", "erase_when", "auto_erase", "wipe_after"} {
		fields = append(fields, field{name: name, refused: noAutomaticErase})
	}
	return r.object(object{
		what: "escalation", doc: "What becomes of a lost device's case by itself. Nothing is ever erased without two approvers.", fields: fields,
		check: func(n *yaml.Node, present map[string]bool) {
			if !present["propose_erase_when"] {
				return
			}
			into.ProposeOn = signs
			for i, s := range signs {
				if slices.Contains(signs[:i], s) {
					r.wrong(n, "propose_erase_when lists %q twice", s)
				}
			}
		},
	})
}

// noAutomaticErase is why a case erases nothing by itself.
const noAutomaticErase = "nothing erases a device by itself: an erase takes the approval of two people; propose_erase_after and propose_erase_when ask them for it"
