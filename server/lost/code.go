package lost

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/brake"
)

// A recovery code is codeLength characters of codeAlphabet: 95 bits. No two look
// alike: of 0 and O, and of 1, I and L, none is in; of 2 and Z, 5 and S, 8 and B, U and V the first is.
const (
	codeAlphabet = "23456789ACDEFGHJKMNPQRTUWXY"
	codeGroup    = 4
	codeLength   = 5 * codeGroup
)

// What is tried with wrong codes: past the first, the wrong codes of one address are refused for
// the rest of the time; past the second, those of everybody are. A right code always counts,
// from wherever it comes: a hospital may be one address, and no flood of wrong codes keeps its
// staff from reporting. 95 bits are not guessed.
const (
	triesByOne = 20
	triesByAll = 2000
	triesTime  = 10 * time.Minute
)

// codeSettles is how long after a person made a code a report by it counts with the brake
// as a report by that person: else whoever may make codes could report every device.
const codeSettles = 7 * 24 * time.Hour

// Code is what is kept of a recovery code: never the code.
type Code struct {
	Device ward.DeviceID
	Hash   string // SHA-256 of the code, hexadecimal
	Holder string // of the device when it was made, hashed: another holder's code is void
	Made   time.Time
	By     ward.PersonID // empty when no person made it
}

// Codes keeps recovery codes and what was tried with wrong ones.
type Codes interface {
	// SaveCode keeps the code of a device in the place of the one before.
	SaveCode(ctx context.Context, c Code) error
	CodeByHash(ctx context.Context, hash string) (Code, error)
	// DropCode deletes the code of a device and reports whether there was one.
	DropCode(ctx context.Context, device ward.DeviceID) (bool, error)
	// AddTries adds n to the tries under a key in a slot of time and returns their number.
	// Others who add to the same wait until the unit of work ends.
	AddTries(ctx context.Context, key string, slot int64, n int) (int, error)
	// DropTries deletes the tries of slots before one.
	DropTries(ctx context.Context, slot int64) error
	// DevicesOf returns the devices with an owner's address, whatever its case.
	DevicesOf(ctx context.Context, email string) ([]ward.Device, error)
}

// MakeCode makes the recovery code of a device's holder, to be printed for them: with it
// they report the device lost without signing in. The code that the device had is void
// from then on. It ends with the device (DropCode) and with its holder.
func (s *Service) MakeCode(ctx context.Context, device ward.DeviceID) (string, error) {
	who, err := actor(ctx)
	if err != nil {
		return "", err
	}
	code := newCode()
	err = s.Counted(ctx, brake.MakeCode, device, func(ctx context.Context) error {
		d, err := s.Fleet.Device(ctx, device)
		if err != nil {
			return err
		}
		if d.State == ward.Erased {
			return ward.Errorf(ward.Conflict, "This device was erased: it has no holder who could report it.")
		}
		if err := s.Store.SaveCode(ctx, Code{Device: device, Hash: codeHash(code), Holder: holderHash(d), Made: s.Now(), By: who.Person}); err != nil {
			return fmt.Errorf("recovery code of %s: %w", device, err)
		}
		return s.Audit.Record(ctx, ActionCodeMade, string(device), nil)
	})
	if err != nil {
		return "", err
	}
	return grouped(code), nil
}

// DropCode voids the recovery code of a device that is retired. A device that has none
// is no error.
func (s *Service) DropCode(ctx context.Context, device ward.DeviceID) error {
	return s.Store.Do(ctx, func(ctx context.Context) error {
		had, err := s.Store.DropCode(ctx, device)
		if err != nil || !had {
			return err
		}
		return s.Audit.Record(ctx, ActionCodeDropped, string(device), nil)
	})
}

// ByCode returns the devices that the bearer of a recovery code may report: the one it was
// made for, and then the others of the same holder. remote names where the request comes
// from, such as an address; it is kept as a hash for a day. Every code that is not good
// gives the same NotFound, after the same work, or Unavailable once too many of them were tried;
// a good one is answered however many were.
func (s *Service) ByCode(ctx context.Context, code, remote string) ([]ward.Device, error) {
	_, devices, err := s.byCode(ctx, code, remote)
	return devices, err
}

// ReportByCode reports devices lost as their holder, who is known by a recovery code. Names
// no device, it means the one that the code was made for; Forbidden means that it names
// one that is not the holder's. The devices show the organisation's words, and it can be no
// drill. In the case and the audit log the holder acts, by their name, and as the device.
func (s *Service) ReportByCode(ctx context.Context, code, remote string, r Report) ([]Case, error) {
	kept, devices, err := s.byCode(ctx, code, remote)
	if err != nil {
		return nil, err
	}
	if len(r.Devices) == 0 {
		r.Devices = []ward.DeviceID{kept.Device}
	}
	for _, id := range r.Devices {
		if !slices.ContainsFunc(devices, func(d ward.Device) bool { return d.ID == id }) {
			return nil, ward.Errorf(ward.Forbidden, "This code is not for that device. Ask the help desk to report it.")
		}
	}
	if r.Drill != Real {
		return nil, ward.Errorf(ward.Invalid, "A recovery code is for a real loss, not for a drill.")
	}
	r.Identified, r.Message, r.Phone, r.Footnote = ByCode, "", "", ""
	ctx = ward.WithActor(ctx, ward.Actor{Name: or(devices[0].Owner, "The holder of the device"), Via: ward.ViaDevice, Device: kept.Device})
	use := brake.Entry{Person: "via recovery code of " + string(kept.Device), Note: brake.Self}
	if kept.By != "" && s.Now().Before(kept.Made.Add(codeSettles)) {
		use = brake.Entry{Person: string(kept.By)}
	}
	return s.reportAll(ctx, r, func(context.Context, ward.Device) (brake.Entry, string, error) { return use, "", nil })
}

func (s *Service) byCode(ctx context.Context, code, remote string) (kept Code, devices []ward.Device, err error) {
	hash := codeHash(plain(code)) // whatever was typed: a code with a mistake takes as long
	var refused error
	err = s.Store.Do(ctx, func(ctx context.Context) (err error) {
		refused = nil
		if kept, devices, err = s.good(ctx, hash); ward.KindOf(err) != ward.NotFound {
			return err
		}
		kept, devices = Code{}, nil
		refused, err = s.wrong(ctx, remoteKey(remote))
		return err
	})
	if err != nil {
		return Code{}, nil, fmt.Errorf("recovery code: %w", err)
	}
	return kept, devices, refused
}

// wrong counts a wrong code and returns the answer to it.
func (s *Service) wrong(ctx context.Context, key string) (refused, err error) {
	slot := s.slot()
	n, err := s.Store.AddTries(ctx, key, slot, 1)
	if err != nil {
		return nil, err
	}
	if n > triesByOne {
		return tooMany(), nil
	}
	if n, err = s.Store.AddTries(ctx, "", slot, 1); err != nil {
		return nil, err
	}
	if n > triesByAll {
		return tooMany(), nil
	}
	return ward.Errorf(ward.NotFound, "This recovery code is not known. Check each character, or call the help desk."), nil
}

func tooMany() error {
	return ward.Errorf(ward.Unavailable, "Too many recovery codes that are not known were tried, and neither is this one. A right one works all the same: check each character, or call the help desk.")
}

// good returns the devices of a code: NotFound if there is no such code, or if it is void.
func (s *Service) good(ctx context.Context, hash string) (Code, []ward.Device, error) {
	kept, err := s.Store.CodeByHash(ctx, hash)
	if err != nil {
		return kept, nil, err
	}
	d, err := s.Fleet.Device(ctx, kept.Device)
	if err != nil {
		return kept, nil, err
	}
	if d.State == ward.Erased || holderHash(d) != kept.Holder {
		return kept, nil, ward.Errorf(ward.NotFound, "This recovery code is void.")
	}
	devices := []ward.Device{d}
	if strings.TrimSpace(d.Email) == "" {
		return kept, devices, nil
	}
	others, err := s.Store.DevicesOf(ctx, d.Email)
	if err != nil {
		return kept, nil, err
	}
	for _, o := range others {
		if o.ID != d.ID && o.State != ward.Erased {
			devices = append(devices, o)
		}
	}
	return kept, devices, nil
}

// dropTries deletes what was tried a day ago.
func (s *Service) dropTries(ctx context.Context) error {
	return s.Store.DropTries(ctx, s.slot()-int64(24*time.Hour/triesTime))
}

func (s *Service) slot() int64 { return s.Now().Unix() / int64(triesTime/time.Second) }

// newCode makes a code, without its hyphens. A byte counts only below the largest multiple
// of the alphabet's size, so that each character is as likely.
func newCode() string {
	var b strings.Builder
	var random [1]byte
	for b.Len() < codeLength {
		rand.Read(random[:]) // it never fails: it ends the program instead
		if n := int(random[0]); n < 256/len(codeAlphabet)*len(codeAlphabet) {
			b.WriteByte(codeAlphabet[n%len(codeAlphabet)])
		}
	}
	return b.String()
}

// grouped prints a code in groups.
func grouped(code string) string {
	var groups []string
	for g := range slices.Chunk([]byte(code), codeGroup) {
		groups = append(groups, string(g))
	}
	return strings.Join(groups, "-")
}

// plain undoes what people do to a code when they type it.
func plain(typed string) string {
	const longest = 200
	typed = typed[:min(len(typed), longest)]
	alike := map[rune]rune{'Z': '2', 'S': '5', 'B': '8', 'V': 'U'}
	return strings.Map(func(r rune) rune {
		if a, ok := alike[r]; ok {
			return a
		}
		if strings.ContainsRune(codeAlphabet, r) {
			return r
		}
		if r == '-' || r == ' ' || r == '\t' || r == '\n' || r == '\r' || r == '–' || r == '—' || r == '‑' {
			return -1
		}
		return '?'
	}, strings.ToUpper(typed))
}

func codeHash(code string) string { return hashed("ward recovery code 1", code) }

// holderHash tells one holder of a device from another.
func holderHash(d ward.Device) string {
	who := strings.TrimSpace(d.Email)
	if who == "" {
		who = strings.TrimSpace(d.Owner)
	}
	return hashed("ward holder 1", string(d.ID), strings.ToLower(who))
}

func remoteKey(remote string) string { return hashed("ward remote 1", remote) }

func hashed(parts ...string) string {
	h := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(h[:])
}
