package api

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/approver"
)

// Approver is someone who may sign orders, or who registered a passkey to become one.
type Approver struct {
	ID         string         `json:"id"`
	Person     Someone        `json:"person"`
	Subject    string         `json:"subject" doc:"Who the human being is: a staff number or an e-mail address. Two accounts of one subject count as one person."`
	Outside    bool           `json:"outside,omitempty" doc:"Not one of the organisation's own staff."`
	State      approver.State `json:"state" enum:"pending,standing,ended,unproven" doc:"What can be proven now. unproven: the record was altered, or vouches that nobody made stand beside it."`
	Needs      int            `json:"vouches_needed,omitempty" doc:"By approvers, while it is pending."`
	Founder    bool           `json:"founder,omitempty" doc:"Trusted by the operator at the server's console."`
	Registered time.Time      `json:"registered"`
	Since      *time.Time     `json:"since,omitempty" doc:"When they began to stand."`
	VouchedBy  []string       `json:"vouched_by" nullable:"false" doc:"The ids of those whose vouches count."`
	Ended      *time.Time     `json:"ended,omitempty"`
	EndedBy    *Someone       `json:"ended_by,omitempty"`
	Key        string         `json:"key_sha256" doc:"Of the passkey's public half, hexadecimal."`
	Hash       string         `json:"hash" doc:"Of the statement that is vouched for."`
}

func (s *server) approverOf(ctx context.Context, a approver.Standing) (Approver, error) {
	key := sha256.Sum256(a.Key.Public)
	out := Approver{
		ID: a.ID, Person: Someone{ID: a.Person, Name: a.Name}, Subject: a.Subject, Outside: a.Outside, State: a.State, Needs: a.Needs, Founder: a.Founder,
		Registered: a.At.UTC(), Since: when(a.Since), VouchedBy: append([]string{}, a.By...), Ended: when(a.Ended),
		Key: hex.EncodeToString(key[:]), Hash: a.Hash,
	}
	if a.EndedBy == "" {
		return out, nil
	}
	who, err := s.someone(ctx, ward.PersonID(a.EndedBy))
	out.EndedBy = &who
	return out, err
}

// ApproverList is everybody who ever registered, in that order.
type ApproverList struct {
	Items []Approver `json:"items" nullable:"false"`
}

func (s *server) listApprovers(ctx context.Context, _ *noInput) (*reply[ApproverList], error) {
	all, err := s.Approvers.List(ctx)
	if err != nil {
		return nil, err
	}
	out := ApproverList{Items: make([]Approver, len(all))}
	for i, a := range all {
		if out.Items[i], err = s.approverOf(ctx, a); err != nil {
			return nil, err
		}
	}
	return answer(out), nil
}

type inviteApproverInput struct {
	Body struct {
		Person  string `json:"person" minLength:"1" maxLength:"200" doc:"Id or name of somebody who may sign in."`
		Subject string `json:"subject" minLength:"1" maxLength:"200" doc:"Who the human being is: a staff number or an e-mail address."`
		Outside bool   `json:"outside,omitempty" doc:"Not one of the organisation's own staff."`
	} `nameHint:"ApproverInvitationRequest"`
}

// ApproverInvitation is the link by which a person registers a passkey.
type ApproverInvitation struct {
	Person Someone `json:"person"`
	URL    string  `json:"url" doc:"Told once. It works for 7 days, once, for this person when they have signed in; earlier ones of theirs stop working."`
}

func (s *server) inviteApprover(ctx context.Context, in *inviteApproverInput) (*reply[ApproverInvitation], error) {
	p, err := s.person(ctx, in.Body.Person)
	if err != nil {
		return nil, err
	}
	if !p.DisabledAt.IsZero() {
		return nil, ward.Errorf(ward.Conflict, "%s is disabled, and can't sign in to register a passkey.", p.Name)
	}
	secret, err := s.Approvers.Invite(ctx, p.ID, in.Body.Subject, in.Body.Outside)
	if err != nil {
		return nil, err
	}
	return answer(ApproverInvitation{Person: Someone{ID: p.ID, Name: p.Name}, URL: s.PublicURL + "/approver/" + secret}), nil
}
