package api

import (
	"bytes"
	"context"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/enrollment"
)

// Invitation lets one device enrol once, for one member of staff.
type Invitation struct {
	ID         string           `json:"id"`
	URL        string           `json:"url,omitempty" doc:"The link; told once, in the answer that makes it."`
	State      enrollment.State `json:"state" enum:"open,used,expired,revoked"`
	Name       string           `json:"name"`
	Email      string           `json:"email,omitempty"`
	Device     ward.DeviceID    `json:"device"`
	DeviceName string           `json:"device_name"`
	Platform   ward.Platform    `json:"platform"`
	Ownership  ward.Ownership   `json:"ownership"`
	Group      string           `json:"group,omitempty"`
	Site       string           `json:"site,omitempty"`
	Role       string           `json:"role,omitempty" doc:"The staff role."`
	Supervised bool             `json:"supervised" doc:"Whether the device is expected to be supervised."`
	Serial     string           `json:"serial,omitempty" doc:"Of the one device that may use it: as it was invited, or as the first to prove its own attested it."`
	Identity   string           `json:"identity,omitempty" enum:"attested,scep" doc:"How the device has to get its identity; left out where that is decided when the link is opened."`
	Created    time.Time        `json:"created"`
	CreatedBy  string           `json:"created_by"`
	Expires    time.Time        `json:"expires"`
	Used       *time.Time       `json:"used,omitempty"`
	UsedBy     string           `json:"used_by,omitempty" doc:"The channel of the device that enrolled."`
	Revoked    *time.Time       `json:"revoked,omitempty"`
	Warnings   []string         `json:"warnings,omitempty" nullable:"false" doc:"What to know of it, told once, in the answer that makes it: for instance which earlier one it took the place of."`
}

func (s *server) invitationOf(i enrollment.Invitation) Invitation {
	return Invitation{
		ID: i.ID, State: i.State(s.Now()), Name: i.Name, Email: i.Email, Device: i.Device, DeviceName: i.DeviceName, Platform: i.Platform,
		Ownership: i.Ownership, Group: i.Group, Site: i.Site, Role: i.Role, Supervised: i.Supervised,
		Serial: i.Serial, Identity: string(i.Identity), Created: i.Created.UTC(), CreatedBy: i.CreatedBy,
		Expires: i.Expires.UTC(), Used: when(i.Used), UsedBy: i.UsedBy, Revoked: when(i.Revoked),
	}
}

func (s *server) invitedOf(i enrollment.Invited) Invitation {
	out := s.invitationOf(i.Invitation)
	out.URL, out.Warnings = s.InviteURL(i.Token), i.Warnings
	return out
}

type listInvitationsInput struct{ Paging }

func (s *server) listInvitations(ctx context.Context, in *listInvitationsInput) (*reply[List[Invitation]], error) {
	limit := min(in.Limit, 200)
	is, err := s.Invitations.List(ctx, in.After, limit)
	if err != nil {
		return nil, err
	}
	return answer(page(is, limit, func(i enrollment.Invitation) string { return i.ID }, s.invitationOf)), nil
}

type invitationInput struct {
	ID string `path:"id" maxLength:"100"`
}

func (s *server) showInvitation(ctx context.Context, in *invitationInput) (*reply[Invitation], error) {
	i, err := s.Invitations.Invitation(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return answer(s.invitationOf(i)), nil
}

type inviteInput struct {
	Body struct {
		Name       string         `json:"name" doc:"Of the member of staff."`
		Email      string         `json:"email,omitempty"`
		Ownership  ward.Ownership `json:"ownership" doc:"corporate or personal."`
		Group      string         `json:"group,omitempty"`
		Site       string         `json:"site,omitempty"`
		Role       string         `json:"role,omitempty" doc:"The staff role, such as nurse."`
		DeviceName string         `json:"device_name,omitempty" doc:"Made from the name if left out."`
		Platform   ward.Platform  `json:"platform,omitempty" doc:"ios if left out."`
		Supervised bool           `json:"supervised,omitempty"`
		Serial     string         `json:"serial,omitempty" doc:"Of the one device that may use the link."`
		Identity   string         `json:"identity,omitempty" doc:"attested or scep; left out, the server's rule and the device decide."`
		Device     string         `json:"device,omitempty" doc:"A device that is known, to enrol it anew: id, serial number, UDID or exact name."`
		Hours      int            `json:"hours,omitempty" minimum:"0" maximum:"720" doc:"How long the link works; 168 if left out."`
	} `nameHint:"InviteRequest"`
}

func (s *server) invite(ctx context.Context, in *inviteInput) (*reply[Invitation], error) {
	b := in.Body
	r := enrollment.Request{
		Name: b.Name, Email: b.Email, DeviceName: b.DeviceName, Platform: b.Platform, Ownership: b.Ownership, Group: b.Group, Site: b.Site, Role: b.Role,
		Supervised: b.Supervised, Serial: b.Serial, Identity: enrollment.Identity(b.Identity), Life: time.Duration(b.Hours) * time.Hour,
	}
	if b.Device != "" {
		d, err := s.Posture.Find(ctx, b.Device)
		if err != nil {
			return nil, err
		}
		r.Device = d.ID
	}
	made, err := s.Invitations.Create(ctx, r)
	if err != nil {
		return nil, err
	}
	return answer(s.invitedOf(made)), nil
}

type inviteStaffInput struct {
	RawBody []byte `contentType:"text/csv" doc:"A header and one line for each device: name and ownership, and if wanted email, group, device_name, platform, supervised, site, role, serial and identity."`
}

// Invitations are the invitations that one table of staff made.
type Invitations struct {
	Items []Invitation `json:"items" nullable:"false"`
}

// inviteStaff makes every invitation of a table, or none if any line has a mistake.
func (s *server) inviteStaff(ctx context.Context, in *inviteStaffInput) (*reply[Invitations], error) {
	rs, err := enrollment.ParseStaff(bytes.NewReader(in.RawBody))
	if err != nil {
		return nil, err
	}
	made, err := s.Invitations.CreateMany(ctx, rs)
	if err != nil {
		return nil, err
	}
	return answer(Invitations{Items: shapes(made, s.invitedOf)}), nil
}

func (s *server) revokeInvitation(ctx context.Context, in *invitationInput) (*none, error) {
	_, err := s.Invitations.Revoke(ctx, in.ID)
	return &none{}, err
}
