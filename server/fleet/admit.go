package fleet

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/wardmdm/ward"
)

// Arrival is what a device says of itself when it enrols.
type Arrival struct {
	Channel   string // UDID or EnrollmentID
	Serial    string
	Name      string
	Model     string
	OSVersion string
	Platform  ward.Platform
	Hash      string // SHA-256 of the certificate it proves itself by
	Adopted   bool   // its certificate comes from another authority that may adopt
	Attested  Attested
}

// Attested is what a device's hardware has proven of the device when it attested the key of
// its certificate. It is zero where nothing was attested.
type Attested struct {
	Serial string
	UDID   string // of a Mac its provisioning UDID, which is not its channel
}

// Invitation is what the fleet needs to know of the invitation that a certificate
// was issued for.
type Invitation struct {
	ID       string
	Device   ward.DeviceID // the device it was made for
	Platform ward.Platform // of that device
	Serial   string        // the one device that may use it; empty for any
	Attested bool          // only a device that attested its key may use it
	Rights   ward.AccessRights
}

// Invitations consumes an invitation: once, by one channel. A *ward.Error of kind
// Forbidden says why it can't be used.
type Invitations interface {
	Use(ctx context.Context, id, channel string) (Invitation, error)
}

// ErrImpostor is the cause of the refusal of a device that says it is another one than its
// hardware has proven.
var ErrImpostor = errors.New("the device is not the one that attested its key")

// Admission is the outcome of admitting an arrival.
type Admission struct {
	Device     ward.DeviceID
	Invitation string
	Rights     ward.AccessRights
	Again      bool // the same device, proving itself by the same certificate
}

// Identities revokes what enrolments prove themselves by.
type Identities interface {
	// Cease revokes the identities of an enrolment that has ended, within the unit of work in
	// ctx. anew says that another enrolment of the same channel takes its place.
	Cease(ctx context.Context, e ward.Enrolment, anew bool) error
}

// Admitter decides who may enrol.
type Admitter struct {
	Store       Store
	Invitations Invitations
	Identities  Identities // nil: none is revoked
	Now         func() time.Time
	NewDevice   func() ward.DeviceID
}

// QuarantineGroup is where adopted devices wait for a person to sort them: until then
// they are asked and sent nothing, unless they are reported lost.
const QuarantineGroup = "quarantine"

// Admit decides, within a unit of work, whether an arrival may begin an enrolment
// and as which device, and binds its certificate to its channel. invitation is ""
// for an adopted device. A refusal is a *ward.Error of kind Forbidden and changes
// nothing.
func (a *Admitter) Admit(ctx context.Context, ar Arrival, invitation string) (Admission, error) {
	if ar.Attested.Serial != "" && ar.Attested.Serial != ar.Serial {
		return Admission{}, impostor("serial number", ar.Attested.Serial, ar.Serial)
	}
	bound, live, err := a.Store.ChannelOf(ctx, ar.Hash)
	if err != nil {
		return Admission{}, err
	}
	if bound != "" && (bound != ar.Channel || !live) {
		return Admission{}, ward.Errorf(ward.Forbidden, "This certificate belongs to another enrolment.")
	}
	if bound == ar.Channel && live {
		return a.again(ctx, ar)
	}
	if err := a.checkTakeover(ctx, ar); err != nil {
		return Admission{}, err
	}
	ad, err := a.place(ctx, ar, invitation)
	if err != nil {
		return Admission{}, err
	}
	if err := a.replace(ctx, ad.Device, ar.Channel); err != nil {
		return Admission{}, err
	}
	return ad, a.Store.Bind(ctx, ar.Hash, ar.Channel)
}

// replace ends what the enrolment that begins takes the place of: the one that lives under
// the same channel, and every other device channel of the device, which nobody would look at
// any more. A user channel ends with its device's.
func (a *Admitter) replace(ctx context.Context, id ward.DeviceID, channel string) error {
	e, err := a.Store.Latest(ctx, channel)
	if ward.KindOf(err) == ward.NotFound || (err == nil && e.State == ward.EnrolmentEnded) {
		e, err = a.Store.Current(ctx, id)
	}
	for err == nil {
		if err := a.Store.EndEnrolment(ctx, e.ID, "replaced by a new enrolment"); err != nil {
			return fmt.Errorf("replace enrolment %s: %w", e.ID, err)
		}
		if a.Identities != nil {
			if err := a.Identities.Cease(ctx, e, e.Channel == channel); err != nil {
				return fmt.Errorf("revoke the identity of enrolment %s: %w", e.ID, err)
			}
		}
		e, err = a.Store.Current(ctx, id)
	}
	if ward.KindOf(err) == ward.NotFound { // none is left
		return nil
	}
	return err
}

// again admits a device that proves itself by the identity it already has.
func (a *Admitter) again(ctx context.Context, ar Arrival) (Admission, error) {
	e, err := a.Store.Latest(ctx, ar.Channel)
	if err != nil {
		return Admission{}, err
	}
	return Admission{Device: e.Device, Invitation: e.Invitation, Rights: e.Rights, Again: true}, a.describe(ctx, e.Device, ar)
}

// checkTakeover refuses an arrival under the channel or serial number of a device
// whose enrolment lives: only its old identity or a person may replace that.
func (a *Admitter) checkTakeover(ctx context.Context, ar Arrival) error {
	living, err := a.Store.Latest(ctx, ar.Channel)
	switch {
	case ward.KindOf(err) == ward.NotFound:
	case err != nil:
		return err
	case living.State != ward.EnrolmentEnded:
		if err := a.released(ctx, living.Device); err != nil {
			return err
		}
	}
	if ar.Serial == "" {
		return nil
	}
	known, err := a.Store.DevicesBySerial(ctx, ar.Serial)
	if err != nil {
		return err
	}
	for _, d := range known {
		_, err := a.Store.Current(ctx, d.ID)
		if ward.KindOf(err) == ward.NotFound {
			continue
		}
		if err != nil {
			return err
		}
		if err := a.released(ctx, d.ID); err != nil {
			return err
		}
	}
	return nil
}

func (a *Admitter) released(ctx context.Context, id ward.DeviceID) error {
	if id != "" {
		ok, err := a.Store.MayReenrol(ctx, id)
		if err != nil || ok {
			return err
		}
	}
	return ward.Errorf(ward.Forbidden, "This device is enrolled already. Remove its management first, or have IT release it for a new enrolment.")
}

// place finds the device that the arrival becomes: one known by its serial number,
// or the one the invitation was made for, or a new one in quarantine.
func (a *Admitter) place(ctx context.Context, ar Arrival, invitation string) (Admission, error) {
	ad := Admission{Invitation: invitation, Rights: ward.RightsAll}
	var invited ward.DeviceID
	if !ar.Adopted {
		inv, err := a.Invitations.Use(ctx, invitation, ar.Channel)
		if err != nil {
			return ad, err
		}
		if err := suits(inv, ar); err != nil {
			return ad, err
		}
		invited, ad.Rights = inv.Device, inv.Rights
	}
	known, err := a.known(ctx, ar)
	if err != nil {
		return ad, err
	}
	switch {
	case known != "" && known != invited:
		ad.Device = known
		if err := a.merge(ctx, known, invited); err != nil {
			return ad, err
		}
	case invited != "":
		ad.Device = invited
	default:
		ad.Device = a.NewDevice()
		if err := a.Store.InsertDevice(ctx, ward.Device{
			ID: ad.Device, Name: ar.Name, Platform: ar.Platform, Ownership: ward.Corporate, Group: QuarantineGroup, State: ward.Invited, Created: a.Now(),
		}); err != nil {
			return ad, err
		}
	}
	if err := a.Store.SetReenrol(ctx, ad.Device, false); err != nil {
		return ad, err
	}
	return ad, a.describe(ctx, ad.Device, ar)
}

// suits refuses an arrival that is not the device that an invitation asks for.
func suits(inv Invitation, ar Arrival) error {
	switch {
	case inv.Attested && ar.Attested.Serial == "":
		return ward.Errorf(ward.Forbidden, "This invitation is for a device that proves that its key can't leave it. Open the link again for a new profile.")
	case inv.Serial != "" && inv.Serial != ar.Serial:
		return ward.Errorf(ward.Forbidden, "This invitation is for the device with the serial number %s.", inv.Serial)
	case inv.Platform != ward.MacOS && ar.Attested.UDID != "" && ar.Attested.UDID != ar.Channel:
		return impostor("UDID", ar.Attested.UDID, ar.Channel)
	}
	return nil
}

func impostor(what, proven, said string) error {
	return ward.Errorf(ward.Forbidden, "The device has proven the %s %s, and says that it has %s.", what, proven, said).Because(ErrImpostor)
}

// known returns the device that the arrival's serial number or channel belongs to.
func (a *Admitter) known(ctx context.Context, ar Arrival) (ward.DeviceID, error) {
	if ar.Serial != "" {
		ds, err := a.Store.DevicesBySerial(ctx, ar.Serial)
		if err != nil {
			return "", err
		}
		if len(ds) > 0 {
			return ds[0].ID, nil
		}
	}
	e, err := a.Store.Latest(ctx, ar.Channel)
	if ward.KindOf(err) == ward.NotFound {
		return "", nil
	}
	return e.Device, err
}

// merge gives a known device what the new invitation says of it, and drops the
// placeholder that the invitation had made.
func (a *Admitter) merge(ctx context.Context, known, invited ward.DeviceID) error {
	if invited == "" {
		return nil
	}
	d, err := a.Store.Device(ctx, known)
	if err != nil {
		return err
	}
	p, err := a.Store.Device(ctx, invited)
	if err != nil {
		return err
	}
	if p.Serial != "" && p.Serial != d.Serial {
		return ward.Errorf(ward.Forbidden, "This invitation is for the device with the serial number %s.", p.Serial)
	}
	d.Name, d.Ownership, d.Group, d.Owner, d.Email, d.Site, d.Role = p.Name, p.Ownership, p.Group, p.Owner, p.Email, p.Site, p.Role
	if err := a.Store.UpdateDevice(ctx, d); err != nil {
		return err
	}
	if p.Serial == "" {
		return a.Store.DeleteDevice(ctx, invited)
	}
	return nil
}

// describe keeps what the device says of itself.
func (a *Admitter) describe(ctx context.Context, id ward.DeviceID, ar Arrival) error {
	if id == "" {
		return nil
	}
	d, err := a.Store.Device(ctx, id)
	if err != nil {
		return err
	}
	if d.Serial != "" && ar.Serial != "" && d.Serial != ar.Serial {
		return ward.Errorf(ward.Forbidden, "This invitation is for the device with the serial number %s.", d.Serial)
	}
	d.Serial = first(ar.Serial, d.Serial)
	d.Name = first(d.Name, ar.Name)
	d.Model = first(ar.Model, d.Model)
	d.OSVersion = first(ar.OSVersion, d.OSVersion)
	if ar.Platform != "" {
		d.Platform = ar.Platform
	}
	return a.Store.UpdateDevice(ctx, d)
}

func first(a, b string) string {
	if a != "" {
		return a
	}
	return b
}
