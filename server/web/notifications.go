package web

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/access"
	"github.com/wardmdm/ward/server/notify"
	"github.com/wardmdm/ward/server/report"
)

// noticesListed is how many deliveries stand on one page.
const noticesListed = 50

type noticesPage struct {
	Page
	Configured bool
	Rows       []noticeRow
	Next       string
	Start      string
	Send       bool // the reader may send
}

type noticeRow struct {
	ID, Subject, Link string
	To                string
	Tag               tag
	Words             string
	Urgent            bool
	Made              moment
}

// notifications lists what was told to whom: GET /notifications?after=.
func (s *Server) notifications(w http.ResponseWriter, r *http.Request) error {
	if done, err := s.export(w, r, func() (report.Table, error) { return s.noticesTable(r.Context()) }); done || err != nil {
		return err
	}
	v, err := s.noticesView(r)
	if err != nil {
		return err
	}
	return render(s, w, r, http.StatusOK, s.pages.notices, v)
}

func (s *Server) noticesView(r *http.Request) (*noticesPage, error) {
	after := r.URL.Query().Get("after")
	v := &noticesPage{
		Page:       Page{Title: "Who was told", Section: "brake", Exports: "/notifications", Backlink: "/brake", Backname: "Brake"},
		Configured: s.Notify.Configured(), Send: access.Allows(ward.ActorFrom(r.Context()), access.NotifyWrite),
	}
	list, err := s.Notify.Log(r.Context(), after, noticesListed)
	if err != nil {
		return nil, err
	}
	for _, d := range list {
		v.Rows = append(v.Rows, s.noticeRow(d))
	}
	if len(list) == noticesListed {
		v.Next = "/notifications?after=" + url.QueryEscape(list[len(list)-1].ID)
	}
	if after != "" {
		v.Start = "/notifications"
	}
	return v, nil
}

func (s *Server) noticeRow(d notify.Delivery) noticeRow {
	now := s.Now()
	row := noticeRow{ID: d.ID, Subject: d.Message.Subject, Link: d.Message.Link, Urgent: d.Message.Urgent, Made: at(d.Made, now), To: d.To}
	if name, ok := strings.CutPrefix(d.Channel, notify.WebhookPrefix); ok {
		row.To = "the webhook " + name
	}
	switch d.State() {
	case notify.Delivered:
		row.Tag, row.Words = tag{"Handed on", "good", "check"}, "Taken at "+at(d.Delivered, now).Exact
	case notify.GivenUp:
		row.Tag, row.Words = tag{"Given up", "bad", "cross"}, "Tried for a day. "+d.Error
	default:
		row.Tag, row.Words = tag{"On its way", "warn", "clock"}, d.Error
		if d.Attempts > 0 {
			row.Words = strings.TrimSpace("Tried " + times(d.Attempts) + ". " + d.Error)
		}
	}
	if d.Channel == notify.None {
		row.To, row.Tag, row.Words = "nobody", tag{"Told to nobody", "bad", "alert"}, "Nobody was configured to be told"
	}
	return row
}

func times(n int) string {
	if n == 1 {
		return "once"
	}
	return plural(n, "time")
}

func (s *Server) testNotice(w http.ResponseWriter, r *http.Request) error {
	return s.noticeDone(w, r, s.Notify.SendTest(r.Context()), "A test is on its way to everyone on call and to every webhook.")
}

func (s *Server) noticeAgain(w http.ResponseWriter, r *http.Request) error {
	return s.noticeDone(w, r, s.Notify.Replay(r.Context(), r.PathValue("id")), "It is sent again.")
}

func (s *Server) noticeDone(w http.ResponseWriter, r *http.Request, err error, done string) error {
	if err == nil {
		s.flash(r, "%s", done)
		return see(w, r, "/notifications")
	}
	v, e := s.noticesView(r)
	if e != nil {
		return e
	}
	return again(s, w, r, s.pages.notices, v, err, "")
}
