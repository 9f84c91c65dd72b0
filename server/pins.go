package server

import (
	"context"
	"crypto/rand"
	"fmt"
	"math/big"
	"slices"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/lost"
	"github.com/wardmdm/ward/server/store"
)

// What a Mac's PIN is for.
const (
	casePIN  = "case"  // the lock of a lost Mac
	lockPIN  = "lock"  // an order
	erasePIN = "erase" // likewise
)

// pins keeps the six digits that Macs were locked with, sealed, for those who may see them.
type pins struct{ db *store.DB }

func pinKey(use string, subject ward.EnrolmentID) string {
	return "mac_pin/" + use + "/" + string(subject)
}

// of returns the PIN for one use of an enrolment, made at random the first time.
func (p pins) of(ctx context.Context, use string, subject ward.EnrolmentID) (string, error) {
	key := pinKey(use, subject)
	was, err := p.db.Secret(ctx, key)
	if err != nil || was != nil {
		return string(was), err
	}
	n, err := rand.Int(rand.Reader, big.NewInt(1_000_000))
	if err != nil {
		return "", fmt.Errorf("make a PIN: %w", err)
	}
	pin := fmt.Sprintf("%06d", n)
	return pin, p.db.SetSecret(ctx, key, []byte(pin))
}

// ofCase meets applemdm.Compiler.PIN.
func (p pins) ofCase(ctx context.Context, _ ward.Device, e ward.Enrolment, c ward.CaseID) (string, error) {
	return p.of(ctx, casePIN, e.ID+"/"+ward.EnrolmentID(c))
}

// MacPIN shows a person the PINs that a Mac was locked or erased with, newest use first by
// what they are for. Each look is audited before it is answered. NotFound means that Ward
// locked it with none.
func (s *Server) MacPIN(ctx context.Context, id ward.DeviceID) (map[string]string, error) {
	if ward.ActorFrom(ctx).Person == "" {
		return nil, ward.Errorf(ward.Forbidden, "Only a person who has signed in can see a PIN.")
	}
	out := map[string]string{}
	err := s.db.Do(ctx, func(ctx context.Context) error {
		all, err := s.fleet.Enrolments(ctx, id)
		if err != nil {
			return err
		}
		cases, err := s.Lost.List(ctx, lost.Filter{Device: id, Limit: 100})
		if err != nil {
			return err
		}
		keys := map[string]string{}
		for _, e := range all {
			keys[pinKey(lockPIN, e.ID)], keys[pinKey(erasePIN, e.ID)] = "lock order", "erase order"
			for _, c := range slices.Backward(cases) { // the newest counts
				keys[pinKey(casePIN, e.ID+"/"+ward.EnrolmentID(c.ID))] = "lost case"
			}
		}
		for key, use := range keys {
			pin, err := s.db.Secret(ctx, key)
			if err != nil {
				return err
			}
			if pin != nil {
				out[use] = string(pin)
			}
		}
		if len(out) == 0 {
			return ward.Errorf(ward.NotFound, "Ward has locked this device with no PIN.")
		}
		return s.record.Record(ctx, "device.pin-viewed", string(id), nil)
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}
