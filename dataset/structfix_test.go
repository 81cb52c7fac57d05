package dataset

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/google/go-cmp/cmp"

	"pixano/internal/lance"
)

// slicedFile reads the data file of testdata/sliced.lance: rows 5 to 8 of a table with 20, written by pylance 0.20 as
//
//	lance.write_dataset(table.slice(5, 4), path, data_storage_version="2.0")
func slicedFile(t testing.TB) ([]byte, []arrow.Field) {
	t.Helper()
	files, err := filepath.Glob("testdata/sliced.lance/data/*.lance")
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	content, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	ref := arrow.StructOf(arrow.Field{Name: "name", Type: arrow.BinaryTypes.String}, arrow.Field{Name: "id", Type: arrow.BinaryTypes.String})
	return content, []arrow.Field{{Name: "id", Type: arrow.BinaryTypes.String}, {Name: "ref", Type: ref}, {Name: "x", Type: arrow.PrimitiveTypes.Int64}}
}

func TestShortenStructs(t *testing.T) {
	content, fields := slicedFile(t)
	var out bytes.Buffer
	longer, err := shortenStructs(bytes.NewReader(content), int64(len(content)), &out, fields)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"ref.name (4 rows, not 20)", "ref.id (4 rows, not 20)"}, longer); d != "" {
		t.Errorf("what was longer (-want +got):\n%s", d)
	}
	if out.Len() != len(content) {
		t.Errorf("the copy has %d bytes, want %d", out.Len(), len(content))
	}
	again, err := shortenStructs(bytes.NewReader(out.Bytes()), int64(out.Len()), &bytes.Buffer{}, fields)
	if err != nil || again != nil {
		t.Errorf("the copy is %v (%v), want nothing to do", again, err)
	}
	for name, wrong := range map[string][]arrow.Field{"fewer columns": fields[:2], "no columns": nil} {
		if _, err := shortenStructs(bytes.NewReader(content), int64(len(content)), &bytes.Buffer{}, wrong); err == nil || !strings.Contains(err.Error(), "the file has 5 columns") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := shortenStructs(bytes.NewReader(content[:800]), 800, &bytes.Buffer{}, fields); err == nil {
		t.Error("a cut file passes")
	}
}

// TestRepairStructs reads a table that an old Python wrote after its data file was set right: with the references that
// Python itself reads.
func TestRepairStructs(t *testing.T) {
	ctx := t.Context()
	dir := t.TempDir()
	if err := os.CopyFS(filepath.Join(dir, "db", "sliced.lance"), os.DirFS("testdata/sliced.lance")); err != nil {
		t.Fatal(err)
	}
	db, err := lance.Connect(ctx, filepath.Join(dir, "db"), nil)
	if err != nil {
		t.Fatal(err)
	}
	s := &state{path: dir, db: db, open: map[string]*lance.Table{}}
	d := &Dataset{state: s}
	defer d.Close()
	s.meta.Store(&meta{tables: []TableInfo{{Name: "sliced"}}})
	var refs []Row
	if err := d.Get(ctx, "sliced", &refs, Query{}); err == nil || !strings.Contains(err.Error(), "children have differing lengths") {
		t.Fatalf("before the repair: %v", err)
	}
	files, err := s.repairStructs(ctx, "sliced", true)
	if err != nil || len(files) != 1 || exists(dir, privateFolder) {
		t.Fatalf("a dry run: %v (%v)", files, err)
	}
	if files, err = s.repairStructs(ctx, "sliced", false); err != nil || len(files) != 1 {
		t.Fatalf("%v (%v)", files, err)
	}
	if err := d.Get(ctx, "sliced", &refs, Query{}); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, row := range refs {
		got = append(got, row.ID()+" "+row.Value("ref.name").(string)+" "+row.Value("ref.id").(string))
	}
	if want := []string{"r5 item i0", "r6 item i1", "r7 item i2", "r8 item i3"}; !slices.Equal(got, want) {
		t.Errorf("rows %q, want %q", got, want)
	}
	kept, err := filepath.Glob(filepath.Join(dir, tornFolder, "sliced-*.lance"))
	if err != nil || len(kept) != 1 {
		t.Fatal(kept, err)
	}
	before, _ := slicedFile(t)
	if after, err := os.ReadFile(kept[0]); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the file as it was is not what was kept (%v)", err)
	}
	if files, err = s.repairStructs(ctx, "sliced", false); err != nil || len(files) != 0 {
		t.Errorf("once more: %v (%v)", files, err)
	}
}

// FuzzShortenStructs wants that no file makes it panic, and that a copy is as long as its file and is right.
func FuzzShortenStructs(f *testing.F) {
	content, fields := slicedFile(f)
	f.Add(content)
	f.Add(content[900:])
	f.Add(append([]byte{}, content[len(content)-lanceFooter:]...))
	f.Fuzz(func(t *testing.T, content []byte) {
		var out bytes.Buffer
		longer, err := shortenStructs(bytes.NewReader(content), int64(len(content)), &out, fields)
		if err != nil || longer == nil {
			return
		}
		if out.Len() != len(content) {
			t.Fatalf("the copy has %d bytes, want %d", out.Len(), len(content))
		}
		if again, err := shortenStructs(bytes.NewReader(out.Bytes()), int64(out.Len()), &bytes.Buffer{}, fields); err != nil || again != nil {
			t.Fatalf("the copy is %v (%v), want nothing to do", again, err)
		}
	})
}
