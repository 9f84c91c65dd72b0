package virtual

import (
	"errors"
	"strings"
	"testing"
)

// knows are the items and properties of the predicates below.
func knows(kind, name string) (any, bool) {
	v, ok := map[string]any{
		"status passcode.is-compliant": true, "status passcode.is-present": false, "status device.model.family": "iPhone",
		"status device.operating-system.version": "18.6", "property beds": 12.0, "property ward": "Ward 7", "property list": []any{"a", "b"},
	}[kind+" "+name]
	return v, ok
}

func TestPredicate(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]bool{
		`TRUEPREDICATE`:                          true,
		`FALSEPREDICATE`:                         false,
		`@status(passcode.is-compliant) == TRUE`: true,
		`@status(passcode.is-compliant) == true`: true,
		`@status(passcode.is-compliant) = YES`:   true,
		`@status(passcode.is-compliant) != TRUE`: false,
		`@status(passcode.is-present) == FALSE`:  true,
		`(@status(passcode.is-compliant) == TRUE) AND (@status(device.model.family) == "iPhone")`: true,
		`@status(device.model.family) == "iPad" OR @property(beds) > 10`:                          true,
		`@status(device.model.family) == "iPad" || @property(beds) < 10`:                          false,
		`NOT (@status(device.model.family) == 'iPad')`:                                            true,
		`!(@property(beds) >= 12) && TRUE == TRUE`:                                                false,
		`FALSE == TRUE OR TRUE == TRUE AND FALSE == TRUE`:                                         false, // AND binds tighter
		`@property(beds) <= 12.0`:                                                                 true,
		`@property(beds) <> 12`:                                                                   false,
		`@property(ward) BEGINSWITH "Ward"`:                                                       true,
		`@property(ward) BEGINSWITH "ward"`:                                                       false,
		`@property(ward) ENDSWITH "7"`:                                                            true,
		`@property(ward) CONTAINS "rd"`:                                                           true,
		`@property(ward) IN {"Ward 6", "Ward 7"}`:                                                 true,
		`@property(ward) IN {}`:                                                                   false,
		`"a" IN @property(list)`:                                                                  true,
		`@property(list) CONTAINS "c"`:                                                            false,
		`@property(missing) == "x"`:                                                               false,
		`@property(missing) == NULL`:                                                              true,
		`@property(missing) > 1`:                                                                  false,
		`@property(missing) BEGINSWITH "x"`:                                                       false,
		`@status(device.operating-system.version) BEGINSWITH "18."`:                               true,
		`@status(device.operating-system.version) > "9.0"`:                                        false, // character by character
		`"a \" quote" == 'a " quote'`:                                                             true,
		`-1 < 0`:                                                                                  true,
	} {
		p, err := parsePredicate(in)
		if err != nil {
			t.Errorf("parsePredicate(%s) = %v, want nil", in, err)
			continue
		}
		if got, err := p(knows); err != nil || got != want {
			t.Errorf("%s = %v, %v, want %v", in, got, err, want)
		}
	}
}

func TestPredicateErrors(t *testing.T) {
	t.Parallel()
	for _, in := range []string{
		``, `TRUE`, `@status(x)`, `@status x == 1`, `@status() == 1`, `(TRUE == TRUE`, `TRUE == TRUE)`, `1 == `, `== 1`, `"open == 1`, `1 LIKE "x"`,
		`SELF.x == 1`, `a == b`, `1 == 1 1`, `{1, 2 == 1`, `{1 2} == 1`, `1 # 2`, `@other(x) == 1`, `TRUE == TRUE AND`, `NOT`, strings.Repeat("(", 5000),
	} {
		if _, err := parsePredicate(in); !errors.Is(err, errPredicate) {
			t.Errorf("parsePredicate(%s) = %v, want errPredicate", in, err)
		}
	}
	for _, in := range []string{`@status(no.such.item) == 1`, `"a" < 1`, `1 BEGINSWITH "x"`, `1 IN 2`, `NOT ("a" > TRUE)`} {
		p, err := parsePredicate(in)
		if err != nil {
			t.Errorf("parsePredicate(%s) = %v, want nil", in, err)
			continue
		}
		if got, err := p(knows); err == nil || got {
			t.Errorf("%s = %v, %v, want an error", in, got, err)
		}
	}
}

func FuzzPredicate(f *testing.F) {
	f.Add(`(@status(passcode.is-compliant) == TRUE) AND (@property(x) IN {"a", 1.5})`)
	f.Add(`NOT !("a" BEGINSWITH 'b' || -1 <= 2)`)
	f.Add(`@status(`)
	f.Fuzz(func(t *testing.T, in string) {
		p, err := parsePredicate(in)
		if err != nil {
			if !errors.Is(err, errPredicate) {
				t.Errorf("parsePredicate(%q) = %v, want errPredicate", in, err)
			}
			return
		}
		once, err1 := p(knows)
		again, err2 := p(knows)
		if once != again || (err1 == nil) != (err2 == nil) {
			t.Errorf("%q is %v and then %v", in, once, again)
		}
	})
}

func FuzzDeclaration(f *testing.F) {
	f.Add([]byte(`{"Identifier":"a","Type":"com.apple.activation.simple","ServerToken":"1","Payload":{"StandardConfigurations":["c"],"Predicate":"TRUE == TRUE"}}`))
	f.Add([]byte(`{"Identifier":"c","Type":"com.apple.configuration.passcode.settings","ServerToken":"1","Payload":{"MinimumLength":6}}`))
	f.Add([]byte(`{"Identifier":"d","Type":"com.apple.asset.data","ServerToken":"1","Payload":{"Reference":{"DataURL":"https://x"}}}`))
	f.Fuzz(func(_ *testing.T, in []byte) {
		j := NewJudge(Options{OSVersion: "27.0", Supervised: true})
		j.ApplyDeclarations([][]byte{in}, nil)
	})
}

func TestVersions(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		version, bound string
		want           bool
	}{
		{"18.6", "", true},
		{"18.6", "18.6", true},
		{"18.6.1", "18.6", true},
		{"18.6", "18.6.1", false},
		{"18.10", "18.9", true},
		{"9.3", "18.0", false},
		{"27.0", "26.4", true},
		{"18", "18.0", true},
	} {
		if got := atLeast(tc.version, tc.bound); got != tc.want {
			t.Errorf("atLeast(%s, %s) = %v, want %v", tc.version, tc.bound, got, tc.want)
		}
	}
}
