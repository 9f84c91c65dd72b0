package web

import (
	"net/http"
	"strings"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/access"
	"github.com/wardmdm/ward/server/wording"
)

type textsPage struct {
	Page
	Head   pageHead
	Fields []textField
	Screen lockScreen
}

type textField struct {
	fieldView
	About   string
	Default string
	Changed bool
}

// lockScreen is what a lost phone shows, as far as it can be drawn.
type lockScreen struct{ Message, Phone, Footnote string }

func (s *Server) textsView(r *http.Request) (*textsPage, error) {
	all, err := s.Operate.Texts.Texts(r.Context())
	if err != nil {
		return nil, err
	}
	v := &textsPage{
		Page: Page{Title: "Texts", Section: "settings", Backlink: "/settings", Backname: "Settings"},
		Head: pageHead{Title: "Texts", Caption: "What people read. Each change is audited; an empty field shows nothing."},
	}
	for _, t := range all {
		value := t.Value
		if r.Method == http.MethodPost {
			value = r.PostFormValue(string(t.Key))
		}
		f := fieldView{Name: string(t.Key), Label: t.Title, Hint: t.About, Value: value, Max: t.Most}
		if t.Lines > 1 {
			f.Rows = t.Lines
		}
		if t.Key == wording.LostPhone {
			f.Type = "tel"
		}
		v.Fields = append(v.Fields, textField{f, t.About, t.Default, t.Changed})
		switch t.Key {
		case wording.LostMessage:
			v.Screen.Message = value
		case wording.LostPhone:
			v.Screen.Phone = value
		case wording.LostFootnote:
			v.Screen.Footnote = value
		case wording.EnrolHelp, wording.StaffHelp:
		}
	}
	return v, nil
}

// texts shows the texts that an organisation changes: GET /settings/templates.
func (s *Server) texts(w http.ResponseWriter, r *http.Request) error {
	v, err := s.textsView(r)
	if err != nil {
		return err
	}
	return render(s, w, r, http.StatusOK, s.pages.texts, v)
}

// changeTexts keeps them, or with step "look" only shows what they would look like:
// POST /settings/templates.
func (s *Server) changeTexts(w http.ResponseWriter, r *http.Request) error {
	v, err := s.textsView(r)
	if err != nil {
		return err
	}
	if field(r, "step") == "look" {
		return render(s, w, r, http.StatusOK, s.pages.texts, v)
	}
	to := map[wording.Key]string{}
	for _, f := range v.Fields {
		if _, sent := r.PostForm[f.Name]; sent {
			to[wording.Key(f.Name)] = f.Value
		}
	}
	if err := s.Operate.Texts.Change(r.Context(), to); err != nil {
		return again(s, w, r, s.pages.texts, v, err, wrongText(v, err))
	}
	s.flash(r, "The texts are kept. Phones that are lost already show the new words once they are planned again.")
	return see(w, r, "/settings/templates")
}

// wrongText finds the first field that an error is about.
func wrongText(v *textsPage, err error) string {
	for _, f := range v.Fields {
		if strings.Contains(message(err), f.Label+":") {
			return f.Name
		}
	}
	return ""
}

type routingPage struct {
	Page
	Head   pageHead
	Routes []NoticeRoute
	Send   bool
}

// routing says which messages go where: GET /settings/notifications.
func (s *Server) routing(w http.ResponseWriter, r *http.Request) error {
	v := &routingPage{
		Page:   Page{Title: "Notifications", Section: "settings", Backlink: "/settings", Backname: "Settings"},
		Head:   pageHead{Title: "Notifications", Caption: "Who is told what. It stands in the server’s configuration, under notify, and can’t be changed here.", Actions: []action{{Text: "Who was told", Href: "/notifications"}}},
		Routes: s.Operate.Routes(), Send: access.Allows(ward.ActorFrom(r.Context()), access.NotifyWrite),
	}
	return render(s, w, r, http.StatusOK, s.pages.routing, v)
}
