package evidence

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/access"
	"github.com/wardmdm/ward/server/audit"
	"github.com/wardmdm/ward/server/estate"
	"github.com/wardmdm/ward/server/lost"
)

// ActionErased stands in the audit log, without a name, when what was held of a person was
// erased.
const ActionErased = "person.data-erased"

// Eraser takes away what is kept of a person. Every method joins the unit of work in ctx.
type Eraser interface {
	// ErasePerson erases an account: see access.Service.
	ErasePerson(ctx context.Context, id ward.PersonID) error
	// ForgetPerson deletes a person's key of the audit log, or returns NotFound.
	ForgetPerson(ctx context.Context, id ward.PersonID) (parts int64, err error)
	// EraseOwner takes the owner and the address from a device and gives it another name.
	EraseOwner(ctx context.Context, id ward.DeviceID, name string) error
	// EraseInvitation takes the name, the address and the name of the device from an
	// invitation, and takes it back if it can still be used.
	EraseInvitation(ctx context.Context, id string) error
	// EraseInCase takes the holder's name and address from a case, and the reporter's name
	// where the account given reported it.
	EraseInCase(ctx context.Context, id ward.CaseID, account ward.PersonID) error
}

// Erasure says what an erasure would do.
type Erasure struct {
	Held
	Erased []string // what goes, a line each
	Kept   []Kept
	Stops  []string // why it can't be done yet; empty if it can
}

// Kept is something that stays, and why.
type Kept struct{ What, Why string }

// PlanErasure says what erasing a person would take away and what has to stay. It needs
// access.PersonErase.
func (s *Service) PlanErasure(ctx context.Context, word string) (Erasure, error) {
	if err := access.Check(ctx, access.PersonErase); err != nil {
		return Erasure{}, err
	}
	h, err := s.Held(ctx, word)
	if err != nil {
		return Erasure{}, err
	}
	e := Erasure{Held: h}
	for _, d := range h.Devices {
		if d.Managed {
			e.Stops = append(e.Stops, fmt.Sprintf("%s is still managed as theirs. Give it to somebody else, or end its management, first.", d.Name))
		}
	}
	for _, c := range h.Cases {
		if c.State != lost.Closed {
			e.Stops = append(e.Stops, fmt.Sprintf("The case %s of their device is not closed.", c.ID))
		}
	}
	if h.Account != nil {
		e.Erased = append(e.Erased, "Their account: name, e-mail address, roles, everything they sign in with, tokens and sessions.")
	}
	if n := len(h.Devices); n > 0 {
		e.Erased = append(e.Erased, "Owner and e-mail address of "+count(n, "device", "devices")+", and the name of each that holds a part of theirs.")
	}
	if n := len(h.Invitations); n > 0 {
		e.Erased = append(e.Erased, "Name, e-mail address and name of the device in "+count(n, "invitation", "invitations")+".")
	}
	if n := len(h.Cases); n > 0 {
		e.Erased = append(e.Erased, "Name and address of the holder in "+count(n, "closed case", "closed cases")+", and in the description of the device there.")
	}
	e.Erased = append(e.Erased, "What the audit log says of them and of their devices: the key is deleted, and nobody can read it again. That something was done, and when, stays, and the log still verifies.")
	e.Kept = kept(h)
	return e, nil
}

func kept(h Held) []Kept {
	out := []Kept{
		{"The history of their devices", "It keeps no name and points at nobody once the owner is gone from the device."},
		{"Backups, and files that were handed out", "Ward can't reach them. Backups end by their own retention: say in the answer when that is."},
	}
	if len(h.Cases) > 0 {
		out = append(out, Kept{"The facts of a lost device, without the holder’s name: when, what was done, what was decided", "The organisation must document every personal-data breach with its effects and what was done about it (UK GDPR, article 33(5)); article 17(3)(b) excepts what the law asks to keep. What somebody wrote as a note in a case stays as it was written: look at it, and correct it there."})
	}
	if len(h.Deeds) > 0 {
		out = append(out, Kept{"What they did in Ward, as done by an erased person", "Others rely on it: article 17(3)(e), the establishment and defence of legal claims."})
	}
	return append(out, Kept{"Messages that were sent to people on call", "They are deleted with the record of messages, and name devices and not their holders."})
}

// Erase takes away what is held of a person, as PlanErasure says. It can't be undone. It
// needs access.PersonErase; Conflict says what has to be done first.
func (s *Service) Erase(ctx context.Context, word string) (Erasure, error) {
	if s.Eraser == nil {
		return Erasure{}, ward.Errorf(ward.Unavailable, "Nobody can be erased here.")
	}
	e, err := s.PlanErasure(ctx, word)
	if err != nil {
		return e, err
	}
	if len(e.Stops) > 0 {
		return e, &ward.Error{Kind: ward.Conflict, Message: "Nothing was erased: something has to be done first.", Details: e.Stops}
	}
	err = s.Seals.Do(ctx, func(ctx context.Context) error {
		if err := s.eraseData(ctx, e.Held); err != nil {
			return err
		}
		// The audit entry comes last and names nobody: who asks which of the erased persons this
		// was has to know by their own file.
		return s.Audit.Record(ctx, audit.Entry{Action: ActionErased, Detail: map[string]string{
			"devices": fmt.Sprint(len(e.Devices)), "invitations": fmt.Sprint(len(e.Invitations)), "cases": fmt.Sprint(len(e.Cases)), "account": fmt.Sprint(e.Account != nil),
		}})
	})
	if err != nil {
		return e, fmt.Errorf("erase a person: %w", err)
	}
	return e, nil
}

func (s *Service) eraseData(ctx context.Context, h Held) error {
	account := ward.PersonID("")
	if h.Account != nil {
		account = h.Account.ID
	}
	for _, c := range h.Cases {
		if err := s.Eraser.EraseInCase(ctx, c.ID, account); err != nil {
			return err
		}
	}
	for _, d := range h.Devices {
		if err := s.Eraser.EraseOwner(ctx, d.ID, plainName(d)); err != nil {
			return err
		}
	}
	for _, i := range h.Invitations {
		if err := s.Eraser.EraseInvitation(ctx, i.ID); err != nil {
			return err
		}
	}
	if h.Email != "" {
		if _, err := s.Eraser.ForgetPerson(ctx, OwnerKey(h.Email)); err != nil && ward.KindOf(err) != ward.NotFound {
			return err
		}
	}
	if account == "" {
		return nil
	}
	if err := s.Eraser.ErasePerson(ctx, account); err != nil {
		if _, told := errors.AsType[*ward.Error](err); told {
			return err
		}
		return fmt.Errorf("account %s: %w", account, err)
	}
	return nil
}

// plainName is the name of a device without a part of its owner's.
func plainName(d *estate.Device) string {
	name := strings.ToLower(d.Name)
	for _, part := range strings.FieldsFunc(strings.ToLower(d.Owner+" "+d.Email), func(r rune) bool { return strings.ContainsRune(" .@-_'’", r) }) {
		if len([]rune(part)) > 2 && strings.Contains(name, part) {
			if d.Serial != "" {
				return "Device " + d.Serial
			}
			return "Device " + string(d.ID)
		}
	}
	return d.Name
}
