package enrollment_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/enrollment"
)

func TestParseStaff(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, in string
		want     []enrollment.Request
	}{
		{"least", "name,ownership\nAda,corporate\n", []enrollment.Request{{Name: "Ada", Ownership: ward.Corporate}}},
		{
			"all columns in any order, spreadsheet's way",
			"\ufeffEmail, Name ,OWNERSHIP,group,device_name,platform,supervised,site,role,Serial\r\nada@h.example,\"Byron, Ada\",Personal,Ward 7,Ada's phone,iOS,no,North,nurse,C39ABCDEFG\r\n,Grace,corporate,,,macos,,,,\r\n,Joan,corporate,,,,yes,,,\r\n",
			[]enrollment.Request{
				{Name: "Byron, Ada", Email: "ada@h.example", Ownership: ward.Personal, Group: "Ward 7", Site: "North", Role: "nurse", DeviceName: "Ada's phone", Platform: ward.IOS, Serial: "C39ABCDEFG"},
				{Name: "Grace", Ownership: ward.Corporate, Platform: ward.MacOS},
				{Name: "Joan", Ownership: ward.Corporate, Supervised: true},
			},
		},
	}
	for _, tt := range tests {
		got, err := enrollment.ParseStaff(strings.NewReader(tt.in))
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s: ParseStaff mismatch (-want +got):\n%s", tt.name, diff)
		}
	}
}

func TestParseStaffTellsAllMistakes(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, in string
		message  string
		details  []string
	}{
		{"empty", "", "The file is empty.", nil},
		{"only a header", "name,ownership\n", "names no staff", nil},
		{"header", "name,nom,name\n", "first line", []string{
			`The column "nom" is not known. The columns are name, ownership, email, group, device_name, platform, supervised, site, role, serial, identity.`,
			"The column name is there twice.",
			"The column ownership is missing.",
		}},
		{"semicolons", "name;ownership\nAda;corporate\n", "first line", []string{"Its columns must be separated by commas, not semicolons."}},
		{
			"rows", "name,ownership,email,supervised\n" +
				"Ada,corporate,,\n" +
				",stolen,nobody,perhaps\n" +
				"\"two\nlines\",personal,,yes\n" +
				"Grace,corporate\n" +
				"Jo\"an,corporate,,\n",
			"No invitation was made",
			[]string{
				`Line 3: supervised is "perhaps": write yes or no.`,
				"Line 3: A name is needed: whom is the invitation for?",
				`Line 3: "nobody" is not an e-mail address.`,
				`Line 3: The ownership "stolen" is not known: use corporate or personal.`,
				"Line 4: The name holds characters that cannot be printed.",
				"Line 4: The device name holds characters that cannot be printed.",
				"Line 4: A personal device is never supervised.",
				"Line 6: It has 2 fields, but the first line names 4 columns.",
				`Line 7: bare " in non-quoted-field.`,
			},
		},
		{
			"serial numbers", "name,ownership,serial\nAda,corporate,c39abcdefg\nJoan,corporate, C39ABCDEFG \nGrace,corporate,C39-ABC\nJean,corporate,\nMary,corporate,\n",
			"No invitation was made",
			[]string{
				"Line 3: The serial number C39ABCDEFG stands in line 2 already.",
				`Line 4: "C39-ABC" is not an Apple serial number: it has 8 to 14 letters and digits. The device shows it in Settings under General, About, a Mac under About This Mac.`,
			},
		},
		{"too many rows", "name,ownership\n" + strings.Repeat("Ada,corporate\n", 5001), "more than 5000 rows", nil},
		{"too large", "name,ownership\n" + strings.Repeat(" ", 2<<20), "larger than 2048 KiB", nil},
	}
	for _, tt := range tests {
		_, err := enrollment.ParseStaff(strings.NewReader(tt.in))
		e, ok := errors.AsType[*ward.Error](err)
		if !ok || e.Kind != ward.Invalid || !strings.Contains(e.Message, tt.message) {
			t.Errorf("%s: %v, want invalid: %s", tt.name, err, tt.message)
			continue
		}
		if diff := cmp.Diff(tt.details, e.Details); diff != "" {
			t.Errorf("%s: mistakes mismatch (-want +got):\n%s", tt.name, diff)
		}
	}
}

func FuzzParseStaff(f *testing.F) {
	for _, s := range []string{
		"", "name,ownership\nAda,corporate\n", "\ufeffname,ownership,email\r\n\"a\nb\",personal,x@y.example\r\n",
		"name,ownership\n\"", "name;ownership\n", "name,ownership\n\"a\" b,c\n\xff,corporate", "name,ownership,supervised\na,personal,yes\n",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		rs, err := enrollment.ParseStaff(strings.NewReader(s))
		if err != nil {
			if ward.KindOf(err) != ward.Invalid || rs != nil {
				t.Errorf("ParseStaff(%q) = %d requests, %v; want none and invalid", s, len(rs), err)
			}
			return
		}
		for _, r := range rs {
			if r.Name == "" || !r.Ownership.Valid() {
				t.Errorf("ParseStaff(%q) let %+v through", s, r)
			}
		}
	})
}
