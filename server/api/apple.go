package api

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/httpd"
)

// Enqueuing is what became of a raw command, by channel.
type Enqueuing struct {
	CommandUUID string                     `json:"command_uuid"`
	RequestType string                     `json:"request_type"`
	Status      map[string]EnqueuingResult `json:"status"`
}

// EnqueuingResult is what became of a raw command for one channel.
type EnqueuingResult struct {
	CommandUUID string `json:"command_uuid,omitempty" doc:"Left out if it was not queued."`
	Error       string `json:"error,omitempty"`
}

type enqueueInput struct {
	IDs     string    `path:"ids" doc:"UDIDs or EnrollmentIDs, separated by commas."`
	NoPush  bool      `query:"nopush" doc:"Do not wake the devices."`
	Expires time.Time `query:"expires_at" doc:"From when on the command is not handed out any more (RFC 3339); left out for never."`
	RawBody []byte    `contentType:"application/xml" doc:"One command as a property list."`
}

type enqueued struct {
	Status int
	Body   Enqueuing
}

// maxChannels bounds the channels of one raw command.
const maxChannels = 1000

// enqueue queues a raw command. The status is 200 if every channel has it, 207 if some
// do, and that of the first error if none does.
func (s *server) enqueue(ctx context.Context, in *enqueueInput) (*enqueued, error) {
	var ids []string
	for id := range strings.SplitSeq(in.IDs, ",") {
		if id = strings.TrimSpace(id); id != "" && !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 || len(ids) > maxChannels {
		return nil, ward.Errorf(ward.Invalid, "Name between 1 and %d ids, separated by commas.", maxChannels)
	}
	if !in.Expires.IsZero() && !in.Expires.After(s.Now()) {
		return nil, ward.Errorf(ward.Invalid, "expires_at is over already: give a time to come.")
	}
	done, err := s.Enqueuer.Queue(ctx, RawCommand{Channels: ids, Body: in.RawBody, NoPush: in.NoPush, Expires: in.Expires})
	if err != nil {
		return nil, err
	}
	out := &enqueued{Status: http.StatusOK, Body: Enqueuing{CommandUUID: done.CommandUUID, RequestType: done.RequestType, Status: map[string]EnqueuingResult{}}}
	failed := 0
	for _, id := range ids {
		err := done.Failed[id]
		if err == nil {
			out.Body.Status[id] = EnqueuingResult{CommandUUID: done.CommandUUID}
			continue
		}
		if failed++; failed == 1 {
			httpd.Note(ctx, err)
			out.Status = httpd.ProblemOf(ctx, err).Status
		}
		out.Body.Status[id] = EnqueuingResult{Error: httpd.ProblemOf(ctx, err).Detail}
	}
	if failed > 0 && failed < len(ids) {
		out.Status = http.StatusMultiStatus
	}
	return out, nil
}

// PushCertificate is what is known of a push certificate.
type PushCertificate struct {
	Topic     string    `json:"topic"`
	Serial    string    `json:"serial"`
	Issuer    string    `json:"issuer"`
	NotAfter  time.Time `json:"not_after"`
	DaysLeft  int       `json:"days_left"`
	Expired   bool      `json:"expired"`
	RenewSoon bool      `json:"renew_soon"`
}

func pushCertificateOf(p PushStatus) PushCertificate {
	return PushCertificate{Topic: p.Topic, Serial: p.Serial, Issuer: p.Issuer, NotAfter: p.NotAfter.UTC(), DaysLeft: p.DaysLeft, Expired: p.Expired, RenewSoon: p.RenewSoon}
}

// PushCertificates are the push certificates, one for each topic.
type PushCertificates struct {
	Items []PushCertificate `json:"items" nullable:"false"`
}

func (s *server) showAPNs(ctx context.Context, _ *noInput) (*reply[PushCertificates], error) {
	ps, err := s.Pushes.Status(ctx)
	if err != nil {
		return nil, err
	}
	return answer(PushCertificates{Items: shapes(ps, pushCertificateOf)}), nil
}

type apnsRequestInput struct {
	Body struct {
		Organisation string `json:"organisation" minLength:"1" maxLength:"200"`
		Email        string `json:"email" minLength:"3" maxLength:"254"`
	} `nameHint:"APNsRequest"`
}

// SigningRequest is a request for a push certificate.
type SigningRequest struct {
	CSR string `json:"csr" doc:"PEM. Apple takes it only with the signature of an MDM vendor."`
}

func (s *server) requestAPNs(ctx context.Context, in *apnsRequestInput) (*reply[SigningRequest], error) {
	csr, err := s.Pushes.Request(ctx, in.Body.Organisation, in.Body.Email)
	if err != nil {
		return nil, err
	}
	return answer(SigningRequest{CSR: string(csr)}), nil
}

type apnsImportInput struct {
	Body struct {
		Certificate string `json:"certificate" doc:"PEM, as Apple issued it."`
		Key         string `json:"key,omitempty" doc:"PEM; left out if the request was made here."`
	} `nameHint:"APNsImport"`
}

func (s *server) importAPNs(ctx context.Context, in *apnsImportInput) (*reply[PushCertificate], error) {
	p, err := s.Pushes.Import(ctx, []byte(in.Body.Certificate), []byte(in.Body.Key))
	if err != nil {
		return nil, err
	}
	return answer(pushCertificateOf(p)), nil
}
