package web

import (
	"context"
	"net/http"
	"net/url"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/access"
	"github.com/wardmdm/ward/server/estate"
	"github.com/wardmdm/ward/server/view"
)

// Views keeps saved views. *view.Service meets it.
type Views interface {
	List(ctx context.Context) ([]view.View, error)
	Save(ctx context.Context, name, query string, shared bool) (view.View, error)
	Remove(ctx context.Context, id string) (view.View, error)
}

type viewsPage struct {
	Page
	Head  pageHead
	Save  *saveView // nil where no filter is to be saved, or the reader may not
	Rows  []viewRow
	Empty emptyView
}

// saveView is the form for a filter that is to be saved.
type saveView struct {
	Query  string
	Words  []string
	Name   fieldView
	Shared bool
}

type viewRow struct {
	Name, Href string
	Words      []string
	Tag        tag
	Remove     string // address of its removal; empty if it is somebody else's
}

// addViews puts the saved views of the reader into a filter bar.
func (s *Server) addViews(r *http.Request, b *filterBar, f estate.Filter) error {
	if s.Fleet.Views == nil {
		return nil
	}
	all, err := s.Fleet.Views.List(r.Context())
	if err != nil {
		return err
	}
	query := f.Values().Encode()
	for _, v := range all {
		b.Views = append(b.Views, savedLink{Name: v.Name, Href: viewAddress(r.URL.Path, v.Query), Shared: v.Shared, Current: v.Query == query})
	}
	if query != "" && access.Allows(ward.ActorFrom(r.Context()), access.ViewWrite) {
		b.Save = withQuery("/views", f.Values())
	}
	return nil
}

func viewAddress(path, query string) string {
	if query == "" {
		return path
	}
	return path + "?" + query
}

// views lists the saved views, and offers to save the filter in the address: GET /views.
func (s *Server) views(w http.ResponseWriter, r *http.Request) error {
	v, err := s.viewsView(r, r.URL.Query())
	if err != nil {
		return err
	}
	return render(s, w, r, http.StatusOK, s.pages.views, v)
}

func (s *Server) viewsView(r *http.Request, q url.Values) (*viewsPage, error) {
	if s.Fleet.Views == nil {
		return nil, ward.Errorf(ward.NotFound, "There are no saved views here.")
	}
	f, err := estate.ParseFilter(q)
	if err != nil {
		return nil, err
	}
	all, err := s.Fleet.Views.List(r.Context())
	if err != nil {
		return nil, err
	}
	v := &viewsPage{Page: Page{Title: "Saved views", Section: "devices", Narrow: true, Backlink: filtered("/devices", f, nil), Backname: "Devices"}, Head: pageHead{Title: "Saved views", Caption: textViews}}
	v.Empty = emptyView{Title: textNoView, Text: []string{textMakeView}, Action: &action{Text: "Go to the devices", Href: "/devices"}}
	a := ward.ActorFrom(r.Context())
	for _, x := range all {
		row := viewRow{Name: x.Name, Href: viewAddress("/devices", x.Query), Words: viewWords(x.Query), Tag: tag{"Yours", "quiet", "eye"}}
		if x.Shared {
			row.Tag = tag{"Shared", "info", "eye"}
		}
		if x.Person == a.Person && access.Allows(a, access.ViewWrite) {
			row.Remove = "/views/" + url.PathEscape(x.ID) + "/remove"
		}
		v.Rows = append(v.Rows, row)
	}
	if query := f.Values().Encode(); query != "" && access.Allows(a, access.ViewWrite) {
		v.Save = &saveView{Query: query, Words: f.Words(), Name: fieldView{Name: "name", Label: "Name", Hint: textViewName, Required: true, Max: 60}}
	}
	return v, nil
}

// viewWords says what a saved filter means.
func viewWords(query string) []string {
	q, err := url.ParseQuery(query)
	if err != nil {
		return []string{textStaleView}
	}
	f, err := estate.ParseFilter(q)
	if err != nil {
		return []string{textStaleView}
	}
	return f.Words()
}

// saveView is POST /views.
func (s *Server) saveView(w http.ResponseWriter, r *http.Request) error {
	q, err := url.ParseQuery(field(r, "filter"))
	if err != nil {
		return ward.Errorf(ward.Invalid, "The filter can’t be read. Choose it anew in the list of devices.")
	}
	v, err := s.viewsView(r, q)
	if err != nil {
		return err
	}
	if v.Save == nil {
		return ward.Errorf(ward.Invalid, "Choose a filter in the list of devices first.")
	}
	name, shared := field(r, "name"), field(r, "shared") == "yes"
	saved, err := s.Fleet.Views.Save(r.Context(), name, v.Save.Query, shared)
	if err != nil {
		v.Save.Name.Value, v.Save.Name.Error, v.Save.Shared = name, message(err), shared
		return again(s, w, r, s.pages.views, v, err, "name")
	}
	s.flash(r, textViewSaved, saved.Name)
	return see(w, r, viewAddress("/devices", saved.Query))
}

// removeView is POST /views/{id}/remove.
func (s *Server) removeView(w http.ResponseWriter, r *http.Request) error {
	if s.Fleet.Views == nil {
		return ward.Errorf(ward.NotFound, "There are no saved views here.")
	}
	v, err := s.Fleet.Views.Remove(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	s.flash(r, textViewRemoved, v.Name)
	return see(w, r, "/views")
}
