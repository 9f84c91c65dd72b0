package applemdm

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jessepeterson/mdmcommands"
	"github.com/micromdm/plist"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles"
	"github.com/wardmdm/ward/server/reconcile"
)

// Compiler makes Apple's commands of the loop's steps, and those of orders and cases.
type Compiler struct {
	// ServerURL is the public address of this server.
	ServerURL string
	// ManagementProfile is the identifier of the enrolment profile.
	ManagementProfile string
	// Token issues the one-time token that an app exchanges for its certificate, in the
	// unit of work of ctx.
	Token func(ctx context.Context, d ward.DeviceID, e ward.EnrolmentID, bundle string) (string, error)
	// Bind puts the device's own values into a profile, a fresh challenge for a network
	// certificate among them, in the unit of work of ctx. Nil leaves profiles as they are.
	Bind func(ctx context.Context, d ward.Device, e ward.Enrolment, raw []byte) ([]byte, error)
	// Renewal makes the enrolment profile of an enrolled device anew, with a challenge for
	// another identity, in the unit of work of ctx. It is signed when it is delivered.
	Renewal func(ctx context.Context, d ward.Device, e ward.Enrolment) ([]byte, error)
	// PIN returns the six digits that a lost Mac is locked with, made at random and kept
	// sealed for those who may see them, in the unit of work of ctx. It returns the same ones
	// for the same enrolment and case, for a command may be made again. Nil locks no Mac.
	PIN func(ctx context.Context, d ward.Device, e ward.Enrolment, c ward.CaseID) (string, error)
	// ReturnProfile makes the enrolment profile by which an erased phone comes back by itself,
	// in the unit of work of ctx. Nil: none comes back.
	ReturnProfile func(ctx context.Context, d ward.Device, e ward.Enrolment) ([]byte, error)
	// Now is the clock, for the time that a DeclarativeManagement command carries beside
	// its token. Nil leaves both out: the device then asks for them.
	Now func() time.Time
}

var _ reconcile.Compiler = (*Compiler)(nil)

// NewUUID meets reconcile.Compiler.
func (c *Compiler) NewUUID() string { return strings.ToUpper(uuid.NewString()) }

// Compile meets reconcile.Compiler.
func (c *Compiler) Compile(ctx context.Context, s reconcile.Step, d ward.Device, e ward.Enrolment, uuid string) (string, []byte, error) {
	cmd, err := c.command(ctx, s, d, e, uuid)
	if err != nil {
		return "", nil, err
	}
	body, err := plist.Marshal(cmd)
	if err != nil {
		return "", nil, fmt.Errorf("compile %s: %w", s.Deed, err)
	}
	return requestTypes[s.Deed], body, nil
}

// requestTypes names the command of each deed.
var requestTypes = map[reconcile.Deed]string{
	reconcile.AskInformation:   mdmcommands.DeviceInformationRequestType,
	reconcile.AskSecurity:      mdmcommands.SecurityInfoRequestType,
	reconcile.AskApps:          mdmcommands.InstalledApplicationListRequestType,
	reconcile.AskManagedApps:   managedApplicationList,
	reconcile.AskProfiles:      mdmcommands.ProfileListRequestType,
	reconcile.AskCertificates:  mdmcommands.CertificateListRequestType,
	reconcile.InstallProfile:   mdmcommands.InstallProfileRequestType,
	reconcile.RemoveProfile:    mdmcommands.RemoveProfileRequestType,
	reconcile.InstallApp:       mdmcommands.InstallApplicationRequestType,
	reconcile.ConfigureApp:     settings,
	reconcile.RemoveApp:        mdmcommands.RemoveApplicationRequestType,
	reconcile.EnableLostMode:   mdmcommands.EnableLostModeRequestType,
	reconcile.DisableLostMode:  mdmcommands.DisableLostModeRequestType,
	reconcile.Locate:           mdmcommands.DeviceLocationRequestType,
	reconcile.Lock:             mdmcommands.DeviceLockRequestType,
	reconcile.RemoveManagement: mdmcommands.RemoveProfileRequestType,
	reconcile.Declare:          mdmcommands.DeclarativeManagementRequestType,
	reconcile.RenewIdentity:    mdmcommands.InstallProfileRequestType,
	reconcile.AskSIM:           mdmcommands.DeviceInformationRequestType,
}

// queries are what is asked of a device about itself.
var queries = []string{"DeviceName", "OSVersion", "BuildVersion", "ProductName", "SerialNumber", "IsSupervised", "IsMDMLostModeEnabled", "BatteryLevel"}

func (c *Compiler) command(ctx context.Context, s reconcile.Step, d ward.Device, e ward.Enrolment, uuid string) (any, error) {
	switch s.Deed {
	case reconcile.AskInformation:
		cmd := mdmcommands.NewDeviceInformationCommand(uuid)
		cmd.Command.Queries = queries
		return cmd, nil
	case reconcile.AskSIM:
		cmd := mdmcommands.NewDeviceInformationCommand(uuid)
		cmd.Command.Queries = []string{"ServiceSubscriptions"}
		return cmd, nil
	case reconcile.AskSecurity:
		return mdmcommands.NewSecurityInfoCommand(uuid), nil
	case reconcile.AskApps:
		cmd := mdmcommands.NewInstalledApplicationListCommand(uuid)
		cmd.Command.Identifiers = &s.Watch
		cmd.Command.Items = &[]string{"Identifier", "Name", "ShortVersion"}
		return cmd, nil
	case reconcile.AskManagedApps:
		return newManagedApplicationList(uuid), nil
	case reconcile.AskProfiles:
		return mdmcommands.NewProfileListCommand(uuid), nil
	case reconcile.AskCertificates:
		return mdmcommands.NewCertificateListCommand(uuid), nil
	case reconcile.InstallProfile:
		return c.installProfile(ctx, s.Profile, d, e, uuid)
	case reconcile.RenewIdentity:
		return c.renewIdentity(ctx, d, e, uuid)
	case reconcile.RemoveProfile:
		return removeProfile(uuid, s.Target), nil
	case reconcile.RemoveManagement:
		return removeProfile(uuid, c.ManagementProfile), nil
	case reconcile.InstallApp:
		return c.installApp(ctx, s.App, d, e, uuid)
	case reconcile.ConfigureApp:
		return c.configureApp(ctx, s.App, d, e, uuid)
	case reconcile.RemoveApp:
		cmd := mdmcommands.NewRemoveApplicationCommand(uuid)
		cmd.Command.Identifier = s.App.BundleID
		return cmd, nil
	case reconcile.EnableLostMode:
		cmd := mdmcommands.NewEnableLostModeCommand(uuid)
		cmd.Command.Message, cmd.Command.PhoneNumber, cmd.Command.Footnote = optional(s.LostMode.Message), optional(s.LostMode.Phone), optional(s.LostMode.Footnote)
		return cmd, nil
	case reconcile.DisableLostMode:
		return mdmcommands.NewDisableLostModeCommand(uuid), nil
	case reconcile.Locate:
		return mdmcommands.NewDeviceLocationCommand(uuid), nil
	case reconcile.Lock:
		return c.lock(ctx, s, d, e, uuid)
	case reconcile.Declare:
		_, token, _ := strings.Cut(s.Key, ":") // what tells the step from others is the set
		return c.declare(uuid, token)
	default:
		return nil, fmt.Errorf("no command carries out %q", s.Deed)
	}
}

// installProfile installs a profile with the device's own values. A challenge in it that
// the device comes too late for makes it refuse the profile; what is tried again then
// holds another.
func (c *Compiler) installProfile(ctx context.Context, p *profiles.Profile, d ward.Device, e ward.Enrolment, uuid string) (any, error) {
	cmd := mdmcommands.NewInstallProfileCommand(uuid)
	cmd.Command.Payload = p.Payload
	if c.Bind != nil {
		bound, err := c.Bind(ctx, d, e, p.Payload)
		if err != nil {
			return nil, fmt.Errorf("bind profile %s: %w", p.Identifier, err)
		}
		cmd.Command.Payload = bound
	}
	if namesWipe(cmd.Command.Payload) {
		return nil, fmt.Errorf("profile %s would have a device erase itself", p.Identifier)
	}
	return cmd, nil
}

func removeProfile(uuid, identifier string) any {
	cmd := mdmcommands.NewRemoveProfileCommand(uuid)
	cmd.Command.Identifier = identifier
	return cmd
}

// optional leaves an empty text out.
func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// installApp installs a managed app with its configuration, as package profiles compiled
// the command for this kind of device.
// Source: https://developer.apple.com/documentation/devicemanagement/installapplicationcommand
func (c *Compiler) installApp(ctx context.Context, a *profiles.App, d ward.Device, e ward.Enrolment, uuid string) (any, error) {
	if a.Command == nil {
		return nil, fmt.Errorf("app %s has no command: a declaration manages it", a.BundleID)
	}
	values, err := c.values(ctx, a, d, e)
	if err != nil {
		return nil, err
	}
	command := profiles.Render(a.Command, values)
	command["RequestType"] = mdmcommands.InstallApplicationRequestType
	return map[string]any{"CommandUUID": uuid, "Command": command}, nil
}

func (c *Compiler) configureApp(ctx context.Context, a *profiles.App, d ward.Device, e ward.Enrolment, uuid string) (any, error) {
	values, err := c.values(ctx, a, d, e)
	if err != nil {
		return nil, err
	}
	return newApplicationConfiguration(uuid, a.BundleID, profiles.Render(a.Config, values)), nil
}

// values are the device's own, a fresh token among them if the app needs a certificate.
func (c *Compiler) values(ctx context.Context, a *profiles.App, d ward.Device, e ward.Enrolment) (profiles.Values, error) {
	v := profiles.Values{DeviceID: string(d.ID), DeviceName: d.Name, UserEmail: d.Email, ServerURL: c.ServerURL}
	if a.NeedsCertificate {
		token, err := c.Token(ctx, d.ID, e.ID, a.BundleID)
		if err != nil {
			return v, err
		}
		v.EnrolmentToken = token
	}
	return v, nil
}
