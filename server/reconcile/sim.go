package reconcile

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/command"
	"github.com/wardmdm/ward/server/fleet"
)

// SIMs is the kind of the fact that tells which SIM cards and plans a lost device has.
const SIMs fleet.FactKind = "sim"

// Card is a SIM card or plan as a device told it. It is not kept.
type Card struct {
	Slot  string // Apple's name of the slot, such as CTSubscriptionSlotOne
	ICCID string
}

// SIM is what is kept of a device's SIM cards and plans: enough to tell that there is
// another, and too little to tell which. It is asked for only while a case is open.
type SIM struct {
	Marks []Mark `json:"marks"` // by slot; empty: it has none
	// Times counts how often the device has told of them.
	Times int `json:"times"`
	// Changed is when it last told of others than before; zero for never.
	Changed time.Time `json:"changed,omitzero"`
}

// Mark stands for the card in a slot: the first four bytes of a SHA-256 over the enrolment,
// the slot and the ICCID, in hexadecimal. An ICCID is short enough to be guessed from a whole
// hash; of so few bytes about one in four thousand million guesses fits, which is many cards.
// It is another on each enrolment, so that a card can't be followed from device to device.
type Mark struct {
	Slot string `json:"slot"`
	Mark string `json:"mark"`
}

// markSize is how many bytes of the hash are kept.
const markSize = 4

func markOf(e ward.EnrolmentID, c Card) Mark {
	sum := sha256.Sum256(fmt.Appendf(nil, "ward sim %q %q %q", e, c.Slot, c.ICCID))
	return Mark{Slot: c.Slot, Mark: hex.EncodeToString(sum[:markSize])}
}

// told returns what is kept once the device has told of its cards. Before is nil the first
// time. Cards that are read twice in the same order or another are the same.
func (before *SIM) told(e ward.EnrolmentID, cards []Card, now time.Time) SIM {
	out := SIM{Marks: []Mark{}, Times: 1}
	for _, c := range cards {
		if c.ICCID != "" { // a slot without a card
			out.Marks = append(out.Marks, markOf(e, c))
		}
	}
	slices.SortFunc(out.Marks, func(a, b Mark) int {
		return cmp.Or(cmp.Compare(a.Slot, b.Slot), cmp.Compare(a.Mark, b.Mark))
	})
	if before == nil {
		return out
	}
	out.Times, out.Changed = before.Times+1, before.Changed
	if !slices.Equal(before.Marks, out.Marks) {
		out.Changed = now
	}
	return out
}

// signs turns the cards of an answer into a fact. The answer to a question about the SIM
// tells nothing else: what it leaves out of the device's information is not gone.
func (l *Loop) signs(ctx context.Context, e ward.Enrolment, r command.Record, told Told) (Told, error) {
	if strings.HasPrefix(r.StepKey, simKey+":") {
		told.Information = nil
		told.Facts = slices.DeleteFunc(slices.Clone(told.Facts), func(f fleet.Fact) bool { return f.Kind == fleet.Information })
	}
	if told.Cards == nil {
		return told, nil
	}
	facts, err := l.Fleet.Facts(ctx, e.ID)
	if err != nil {
		return told, err
	}
	got, err := Observe(slices.DeleteFunc(facts, func(f fleet.Fact) bool { return f.Kind != SIMs }))
	if err != nil {
		return told, err
	}
	var before *SIM
	if got.SIM != nil {
		before = &got.SIM.Value
	}
	now := l.Now()
	raw, err := json.Marshal(before.told(e.ID, told.Cards, now))
	if err != nil {
		return told, fmt.Errorf("keep the SIM: %w", err)
	}
	told.Facts = append(slices.Clip(told.Facts), fleet.Fact{Kind: SIMs, Value: raw, Observed: now})
	return told, nil
}
