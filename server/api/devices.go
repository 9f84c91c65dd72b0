package api

import (
	"context"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/order"
	"github.com/wardmdm/ward/server/posture"
)

// DeviceDetail is everything that is known of a device.
type DeviceDetail struct {
	Device
	Case          *Case               `json:"case,omitempty" doc:"The open case; left out if there is none."`
	EraseAccepted *time.Time          `json:"erase_accepted,omitempty" doc:"When the device accepted an erase in this epoch."`
	Limits        []Limit             `json:"limits" nullable:"false" doc:"What is enforced here, and what can't be and why."`
	Profiles      []Profile           `json:"profiles" nullable:"false"`
	Apps          []App               `json:"apps" nullable:"false"`
	Facts         Facts               `json:"facts"`
	Steps         []Step              `json:"steps" nullable:"false" doc:"What was last tried to bring it to what is wanted."`
	Commands      []Command           `json:"commands" nullable:"false" doc:"The newest of each epoch, the newest first."`
	Enrolments    []Enrolment         `json:"enrolments" nullable:"false" doc:"The newest first."`
	Certificates  []IssuedCertificate `json:"certificates" nullable:"false" doc:"The newest, the newest first."`
}

// DevicePath names a device in a path.
type DevicePath struct {
	ID string `path:"id" maxLength:"200" doc:"Id, serial number, UDID or exact name."`
}

func (s *server) showDevice(ctx context.Context, in *DevicePath) (*reply[DeviceDetail], error) {
	d, err := s.Posture.Show(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	c, err := s.openCase(ctx, d.Device.ID)
	if err != nil {
		return nil, err
	}
	certs, err := s.certificatesOf(ctx, d.Device.ID)
	if err != nil {
		return nil, err
	}
	return answer(DeviceDetail{
		Device: deviceOf(d.Row), Case: c, EraseAccepted: when(d.View.EraseAccepted), Limits: shapes(d.Limits, limitOf),
		Profiles: profilesOf(d.View), Apps: appsOf(d.View), Facts: factsOf(d.View.Got), Steps: shapes(d.View.Attempts, stepOf),
		Commands: commandsOf(d.Commands, d.Enrolments, d.Afresh), Enrolments: shapes(d.Enrolments, enrolmentOf), Certificates: certs,
	}), nil
}

// openCase returns the open case of a device, nil if there is none.
func (s *server) openCase(ctx context.Context, id ward.DeviceID) (*Case, error) {
	c, err := s.Lost.OpenCase(ctx, id)
	if ward.KindOf(err) == ward.NotFound {
		return nil, nil //nolint:nilnil // no case is an answer
	}
	if err != nil {
		return nil, err
	}
	shape := caseOf(c)
	return &shape, nil
}

func (s *server) refreshDevice(ctx context.Context, in *DevicePath) (*none, error) {
	d, err := s.Posture.Find(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return &none{}, s.Posture.Refresh(ctx, d.ID)
}

func (s *server) releaseDevice(ctx context.Context, in *DevicePath) (*none, error) {
	d, err := s.Posture.Find(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return &none{}, s.Posture.Release(ctx, d.ID)
}

type moveInput struct {
	DevicePath
	Body struct {
		Group *string `json:"group,omitempty" minLength:"1" maxLength:"100" doc:"The group that the device belongs to from now on; left out: as it is."`
		Site  *string `json:"site,omitempty" maxLength:"100" doc:"Empty for none; left out: as it is."`
		Role  *string `json:"role,omitempty" maxLength:"100" doc:"The staff role that it is meant for. Empty for none; left out: as it is."`
	} `nameHint:"MoveRequest"`
}

func (s *server) moveDevice(ctx context.Context, in *moveInput) (*none, error) {
	d, err := s.Posture.Find(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return &none{}, s.Posture.Place(ctx, d.ID, posture.Placement{Group: in.Body.Group, Site: in.Body.Site, Role: in.Body.Role})
}

type lockInput struct {
	DevicePath
	Body *struct {
		Message string `json:"message,omitempty" doc:"Shown on the device, if it has a passcode."`
		Phone   string `json:"phone,omitempty" doc:"Number to call, shown on the device."`
	} `required:"false" nameHint:"LockRequest"`
}

// Queued says which command was queued for a device.
type Queued struct {
	Device  ward.DeviceID `json:"device"`
	Command string        `json:"command" doc:"UUID of the command; its state is among the device's commands."`
}

// queued answers with the command that was queued for a device, or with the error.
func queued(id ward.DeviceID) func(uuid string, err error) (*reply[Queued], error) {
	return func(uuid string, err error) (*reply[Queued], error) {
		if err != nil {
			return nil, err
		}
		return answer(Queued{Device: id, Command: uuid}), nil
	}
}

func (s *server) lockDevice(ctx context.Context, in *lockInput) (*reply[Queued], error) {
	d, err := s.Posture.Find(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	var message, phone string
	if in.Body != nil {
		message, phone = in.Body.Message, in.Body.Phone
	}
	return queued(d.ID)(s.Lost.Lock(ctx, d.ID, message, phone))
}

// restartDevice restarts a device; the brake counts it as a lock.
func (s *server) restartDevice(ctx context.Context, in *DevicePath) (*reply[Queued], error) {
	d, err := s.Posture.Find(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return queued(d.ID)(s.Lost.Restart(ctx, d.ID))
}

// RecoveryCode is what the holder of a device reports it lost with, without signing in.
type RecoveryCode struct {
	Device ward.DeviceID `json:"device"`
	Code   string        `json:"code" doc:"Told once, to be printed for the holder. The code that the device had is void."`
	URL    string        `json:"url" doc:"Where it is used."`
}

func (s *server) makeRecoveryCode(ctx context.Context, in *DevicePath) (*reply[RecoveryCode], error) {
	d, err := s.Posture.Find(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	code, err := s.Lost.MakeCode(ctx, d.ID)
	if err != nil {
		return nil, err
	}
	return answer(RecoveryCode{Device: d.ID, Code: code, URL: s.PublicURL + "/lost"}), nil
}

type lostInput struct {
	DevicePath
	Body *LostReport `required:"false"`
}

func (s *server) reportDevice(ctx context.Context, in *lostInput) (*reply[Case], error) {
	d, err := s.Posture.Find(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	var r LostReport
	if in.Body != nil {
		r = *in.Body
	}
	cases, err := s.Lost.Report(ctx, r.report(d.ID))
	if err != nil {
		return nil, err
	}
	return answer(caseOf(cases[0])), nil
}

// Note is what a person may add to a deed.
type Note struct {
	Note string `json:"note,omitempty"`
}

type foundInput struct {
	DevicePath
	Body *Note `required:"false"`
}

func (s *server) findDevice(ctx context.Context, in *foundInput) (*reply[Case], error) {
	d, err := s.Posture.Find(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	open, err := s.Lost.OpenCase(ctx, d.ID)
	if ward.KindOf(err) == ward.NotFound {
		return nil, ward.Errorf(ward.Conflict, "%s is not reported lost.", named(d))
	}
	if err != nil {
		return nil, err
	}
	c, err := s.Lost.Found(ctx, open.ID, noteIn(in.Body))
	if err != nil {
		return nil, err
	}
	return answer(caseOf(c)), nil
}

func noteIn(n *Note) string {
	if n == nil {
		return ""
	}
	return n.Note
}

// named is what a device is called in a sentence.
func named(d ward.Device) string {
	if d.Name != "" {
		return d.Name
	}
	return string(d.ID)
}

type wipeInput struct {
	DevicePath
	Body struct {
		Reason                 string `json:"reason" doc:"Why; whoever approves reads it."`
		PreserveDataPlan       *bool  `json:"preserve_data_plan,omitempty" doc:"Keep the mobile data plan of an eSIM; true if left out."`
		DisallowProximitySetup bool   `json:"disallow_proximity_setup,omitempty"`
	} `nameHint:"WipeRequest"`
}

// wipeDevice asks for an order; nothing reaches the device until two people have
// signed it.
func (s *server) wipeDevice(ctx context.Context, in *wipeInput) (*reply[Order], error) {
	d, err := s.Posture.Find(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	r := order.Request{
		Kind: order.Erase, Devices: []ward.DeviceID{d.ID}, Reason: in.Body.Reason,
		Options: order.Options{PreserveDataPlan: chosen(in.Body.PreserveDataPlan, true), DisallowProximitySetup: in.Body.DisallowProximitySetup},
	}
	c, err := s.openCase(ctx, d.ID)
	if err != nil {
		return nil, err
	}
	if c != nil {
		r.Case = c.ID
	}
	return s.told(ctx)(s.Orders.Request(ctx, r))
}
