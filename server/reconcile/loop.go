package reconcile

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles"
	"github.com/wardmdm/ward/server/command"
	"github.com/wardmdm/ward/server/fleet"
)

// deviceEnrolment is Apple's kind of an enrolment that lists apps a person installed.
const deviceEnrolment = "Device"

// Loop carries out what Plan says: it queues steps, and plans again when an answer or
// a policy changes what is known or wanted.
type Loop struct {
	Fleet       Fleet
	Policies    Policies
	Cases       Cases
	Credentials Credentials
	Identities  Identities // nil: no identity is renewed
	Drift       Drift
	Queue       command.Queue
	Compiler    Compiler
	// Wake has a device come soon, in the unit of work in ctx. Nil wakes none.
	Wake func(ctx context.Context, id ward.EnrolmentID) error
	// Watch are the apps that phones are asked about by name before any policy is
	// published, so that whoever writes the first one sees what it will meet.
	Watch []string
	// Standing says whether a device deserves certificates for its apps: only one that does
	// has them renewed. Nil thinks well of every device. It is asked what the device deserves
	// before its own identities are laid over what is wanted.
	Standing func(v View) Standing
	// NetworkLife is how long a network certificate lives; zero renews none.
	NetworkLife time.Duration
	// Keep keeps what the policy comes to on a device of this class, so that it can be shown
	// later; nil keeps nothing.
	Keep func(ctx context.Context, v View) error
	// Judged is called with every device that is planned, in the unit of work that plans it;
	// it returns when the device has to be planned again for its sake, zero for no time. Nil
	// judges none.
	Judged func(ctx context.Context, v View) (time.Time, error)
	Now    func() time.Time
}

// Fleet is what the loop needs of the store of devices.
type Fleet interface {
	fleet.Store
	Attempts(ctx context.Context, id ward.EnrolmentID) ([]Attempt, error)
	// EraseAccepted returns when the enrolment accepted an erase, zero if it never did.
	EraseAccepted(ctx context.Context, id ward.EnrolmentID) (time.Time, error)
	Planned(ctx context.Context, id ward.DeviceID, generation int64, next time.Time) error
	// Hold keeps other units of work that hold the device waiting until this one ends, so
	// that two copies of the server do not both plan the same step.
	Hold(ctx context.Context, id ward.DeviceID) error
	DuePlans(ctx context.Context, t time.Time, generation int64, limit int) ([]ward.DeviceID, error)
}

// Policies tells which policy holds.
type Policies interface {
	// For returns the policy that holds for a device and its generation: nil and 0 before
	// the first.
	For(ctx context.Context, d ward.Device) (*profiles.Policy, int64, error)
	// Epoch returns a count that grows whenever another policy may hold for any device.
	Epoch(ctx context.Context) (int64, error)
}

// Drift keeps what is otherwise on devices than the policy wants, and since when.
type Drift interface {
	// Open returns the deviations of a device that are not righted.
	Open(ctx context.Context, id ward.DeviceID) (map[Deviation]time.Time, error)
	// Settle keeps which deviations a device has at a time: those that are not recorded are
	// found, those recorded and not in the list are righted.
	Settle(ctx context.Context, id ward.DeviceID, all []Deviation, at time.Time) error
}

// Cases tells the open lost case of a device, nil when there is none.
type Cases interface {
	OpenCase(ctx context.Context, id ward.DeviceID) (*profiles.Case, error)
}

// Credentials tells what the record knows of the certificates of an enrolment's apps.
type Credentials interface {
	Credentials(ctx context.Context, id ward.EnrolmentID) (map[string]Credential, error)
}

// Compiler makes a device's command of a step, binding the device's own values.
type Compiler interface {
	Compile(ctx context.Context, s Step, d ward.Device, e ward.Enrolment, uuid string) (requestType string, body []byte, err error)
	NewUUID() string
}

// Replan compares, in one unit of work, what should be true on a device with what is
// known, and queues the steps. A device that is not enrolled has none.
func (l *Loop) Replan(ctx context.Context, id ward.DeviceID) error {
	return l.Fleet.Do(ctx, func(ctx context.Context) error {
		if err := l.Fleet.Hold(ctx, id); err != nil {
			return err
		}
		epoch, err := l.Policies.Epoch(ctx)
		if err != nil {
			return err
		}
		d, err := l.Fleet.Device(ctx, id)
		if err != nil {
			return err
		}
		e, err := l.Fleet.Current(ctx, id)
		if ward.KindOf(err) == ward.NotFound || (err == nil && (e.State != ward.EnrolmentActive || d.State == ward.Erased)) {
			return l.Fleet.Planned(ctx, id, epoch, time.Time{})
		}
		if err != nil {
			return err
		}
		next, err := l.issue(ctx, d, e)
		if err != nil {
			return fmt.Errorf("plan device %s: %w", id, err)
		}
		return l.Fleet.Planned(ctx, id, epoch, next)
	})
}

// issue queues what is left to do and returns when to look again.
func (l *Loop) issue(ctx context.Context, d ward.Device, e ward.Enrolment) (time.Time, error) {
	v, err := l.view(ctx, d, e)
	if err != nil {
		return time.Time{}, err
	}
	var c Case
	if v.Case != nil {
		c.ID = v.Case.ID
	}
	if err := l.makeWay(ctx, e.ID, c.ID); err != nil {
		return time.Time{}, err
	}
	if v.Attempts, err = l.Fleet.Attempts(ctx, e.ID); err != nil {
		return time.Time{}, err
	}
	if err := l.settle(ctx, &v); err != nil {
		return time.Time{}, err
	}
	if l.Keep != nil && v.Want.Class != "" {
		if err := l.Keep(ctx, v); err != nil {
			return time.Time{}, err
		}
	}
	steps, next := Plan(v.Want, v.Got, v.Attempts, c, l.Now())
	if change := v.Policy.NextChange(l.Now()); !change.IsZero() && change.Before(next) {
		next = change // an exception begins or ends
	}
	if !v.again.IsZero() && v.again.Before(next) {
		next = v.again
	}
	if next, err = l.judge(ctx, v, next); err != nil {
		return next, err
	}
	if l.Standing != nil && slices.ContainsFunc(steps, v.renewal) && l.Standing(v) != Deserving {
		steps = slices.DeleteFunc(steps, v.renewal)
	}
	if c.ID == "" && d.Group == fleet.QuarantineGroup { // it is asked and sent nothing until a person has sorted it, but let out of lost mode
		steps = slices.DeleteFunc(steps, func(s Step) bool { return s.Deed != DisableLostMode })
	}
	if steps, next, err = l.renew(ctx, v, steps, next); err != nil {
		return next, err
	}
	for _, s := range steps {
		uuid := l.Compiler.NewUUID()
		requestType, body, err := l.Compiler.Compile(ctx, s, d, e, uuid)
		if err != nil {
			return next, fmt.Errorf("%s: %w", s.Deed, err)
		}
		n := command.New{UUID: uuid, Enrolment: e.ID, RequestType: requestType, Body: body, Urgent: s.Urgent, First: s.First, StepKey: s.Key, Case: s.ofCase(v.Case), By: ward.ActorFrom(ctx).Person}
		if _, err := l.Queue.Enqueue(ctx, n); err != nil {
			return next, fmt.Errorf("%s: %w", s.Deed, err)
		}
	}
	return next, nil
}

// judge has the device judged, and returns the earlier of next and when that has to be
// done again.
func (l *Loop) judge(ctx context.Context, v View, next time.Time) (time.Time, error) {
	if l.Judged == nil {
		return next, nil
	}
	again, err := l.Judged(ctx, v)
	if err == nil && !again.IsZero() && again.Before(next) {
		return again, nil
	}
	return next, err
}

// settle keeps what is otherwise on the device than it should be, and in v since when. A
// lost device is judged by its case alone.
func (l *Loop) settle(ctx context.Context, v *View) (err error) {
	if v.Case != nil {
		return nil
	}
	all := v.Deviations()
	if len(all) == len(v.Since) && !slices.ContainsFunc(all, func(d Deviation) bool { return v.Since[d].IsZero() }) {
		return nil
	}
	if err := l.Drift.Settle(ctx, v.Device.ID, all, l.Now()); err != nil {
		return err
	}
	v.Since, err = l.Drift.Open(ctx, v.Device.ID)
	return err
}

// makeWay takes back steps that an opened or closed case has overtaken: a lost phone
// gets no new app, and a found one that was never reached stays out of lost mode.
func (l *Loop) makeWay(ctx context.Context, id ward.EnrolmentID, open ward.CaseID) error {
	_, err := l.Queue.CancelOpen(ctx, id, "overtaken by the lost case", func(r command.Record) bool {
		switch {
		case r.StepKey == "" || r.StepKey == identityKey || r.Case == open:
			return false
		case open != "":
			return true
		default:
			return r.Deliveries == 0
		}
	})
	return err
}

// View is all that is wanted and known of one device: what the device's page shows and
// what planning works from.
type View struct {
	Device    ward.Device
	Enrolment ward.Enrolment
	Case      *profiles.Case
	// Policy holds for the device, and is of this generation: nil and 0 before the first.
	Policy     *profiles.Policy
	Generation int64
	Want       profiles.State
	// Shared is what the devices of its class share, before it was made the device's own.
	Shared profiles.State
	Got    Observed
	// Identity is what the enrolment proves itself by, nil if Ward did not issue it.
	Identity *Identity
	Attempts []Attempt
	// Since says since when a deviation is recorded; one that is not there is new.
	Since map[Deviation]time.Time
	// EraseAccepted is when the device accepted an erase in this epoch; zero if never.
	EraseAccepted time.Time

	again time.Time // when what is the device's own changes next; zero for never
}

// View gathers what is wanted and known of an enrolled device.
func (l *Loop) View(ctx context.Context, d ward.Device, e ward.Enrolment) (View, error) {
	v, err := l.view(ctx, d, e)
	if err != nil {
		return v, err
	}
	if v.Attempts, err = l.Fleet.Attempts(ctx, e.ID); err != nil {
		return v, err
	}
	v.EraseAccepted, err = l.Fleet.EraseAccepted(ctx, e.ID)
	return v, err
}

// Wanted returns what should be true on an enrolled device.
func (l *Loop) Wanted(ctx context.Context, d ward.Device, e ward.Enrolment) (profiles.State, error) {
	v, err := l.view(ctx, d, e)
	return v.Want, err
}

func (l *Loop) view(ctx context.Context, d ward.Device, e ward.Enrolment) (v View, err error) {
	v.Device, v.Enrolment = d, e
	if v.Policy, v.Generation, err = l.Policies.For(ctx, d); err != nil {
		return v, err
	}
	if v.Since, err = l.Drift.Open(ctx, d.ID); err != nil {
		return v, err
	}
	if v.Case, err = l.Cases.OpenCase(ctx, d.ID); err != nil {
		return v, err
	}
	facts, err := l.Fleet.Facts(ctx, e.ID)
	if err != nil {
		return v, err
	}
	if v.Got, err = Observe(facts); err != nil {
		return v, err
	}
	v.Got.Of = e.ID
	if v.Got.Credentials, err = l.Credentials.Credentials(ctx, e.ID); err != nil {
		return v, err
	}
	if v.Identity, err = l.identity(ctx, e.ID); err != nil {
		return v, err
	}
	v.Want = profiles.Desired(profiles.Subject{
		Device: d, Supervised: v.Got.Supervised(), Rights: e.Rights, Kind: e.Kind, OSVersion: d.OSVersion, Case: v.Case,
		Attests: v.Identity != nil && v.Identity.Attested,
	}, v.Policy, l.Now())
	v.Want = Stamped(v.Want, v.Got.Credentials, e.Enrolled, l.NetworkLife, l.Now())
	if v.Policy == nil && d.Platform == ward.IOS && e.Kind == deviceEnrolment && e.Rights.Has(ward.RightInspectApps) {
		v.Want.WatchApps = l.Watch
	}
	return v, l.personal(ctx, &v)
}

// Due plans up to limit devices that are due or were planned for an older policy, each
// in a unit of work of its own, and returns how many it planned. One that fails does
// not keep the others waiting: it is due again later, and its error is returned with
// the rest.
func (l *Loop) Due(ctx context.Context, limit int) (int, []error) {
	epoch, err := l.Policies.Epoch(ctx)
	if err != nil {
		return 0, []error{err}
	}
	ids, err := l.Fleet.DuePlans(ctx, l.Now(), epoch, limit)
	if err != nil {
		return 0, []error{err}
	}
	var errs []error
	for _, id := range ids {
		if err := l.Replan(ctx, id); err != nil {
			errs = append(errs, err)
			if err := l.Fleet.Planned(ctx, id, epoch, l.Now().Add(time.Minute)); err != nil {
				errs = append(errs, err)
			}
		}
		if ctx.Err() != nil {
			break
		}
	}
	return len(ids), errs
}

// Questions are all that a device can be asked about itself, as steps without keys: a
// person who wants news asks them once. One in lost mode is asked little, for it
// answers little.
func (v View) Questions() []Step {
	asked := []Step{{Deed: AskInformation}, {Deed: AskSecurity}}
	if v.Case != nil {
		return asked
	}
	asked = append(asked, Step{Deed: AskProfiles}, Step{Deed: AskCertificates})
	if len(v.Want.WatchApps) > 0 {
		asked = append(asked, Step{Deed: AskApps, Watch: v.Want.WatchApps})
	}
	if commanded(v.Want.Apps) {
		asked = append(asked, Step{Deed: AskManagedApps})
	}
	return asked
}
