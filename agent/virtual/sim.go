package virtual

import (
	"fmt"
	"hash/fnv"
	"slices"
	"strings"

	"github.com/wardmdm/ward"
)

// SIM is a SIM card, or a plan of an eSIM, which has an EID.
type SIM struct {
	Slot        string // Apple's name, empty means that of the first
	ICCID       string // empty: the slot is empty
	EID         string
	PhoneNumber string
}

// firstSlot is Apple's name of the first slot.
const firstSlot = "CTSubscriptionSlotOne"

// settleSIMs puts a card into an iPhone that was given none.
func settleSIMs(o Options) []SIM {
	sims := slices.Clone(o.SIMs)
	for i := range sims {
		if sims[i].Slot == "" {
			sims[i].Slot = firstSlot
		}
	}
	if o.SIMs == nil && o.Platform == ward.IOS && strings.HasPrefix(o.Model, "iPhone") {
		h := fnv.New64a()
		_, _ = h.Write([]byte(o.Serial)) // it never fails
		sims = []SIM{{Slot: firstSlot, ICCID: fmt.Sprintf("8944100%012d", h.Sum64()%1e12)}}
	}
	return sims
}

// SwapSIM is somebody putting another SIM card into the first slot; empty takes it out.
func (b *body) SwapSIM(iccid string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.sims = slices.DeleteFunc(b.sims, func(s SIM) bool { return s.Slot == firstSlot && s.EID == "" })
	b.sims = append(b.sims, SIM{Slot: firstSlot, ICCID: iccid})
	b.touchLocked()
}

// SIMs returns the cards and plans that are in the device.
func (b *body) SIMs() []SIM {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.sims)
}

// subscriptions is the answer to the query ServiceSubscriptions. The caller holds b.mu.
// Source: Apple's schema, mdm/commands/information.device.yaml.
func (b *body) subscriptions() []any {
	list := []any{}
	for i, s := range b.sims {
		m := map[string]any{"Slot": s.Slot}
		if s.ICCID != "" {
			m["ICCID"], m["IsDataPreferred"], m["IsVoicePreferred"], m["IsRoaming"] = s.ICCID, i == 0, i == 0, false
		}
		if s.EID != "" && b.since("14.0", never) {
			m["EID"] = s.EID
		}
		if s.PhoneNumber != "" {
			m["PhoneNumber"] = s.PhoneNumber
		}
		list = append(list, m)
	}
	return list
}
