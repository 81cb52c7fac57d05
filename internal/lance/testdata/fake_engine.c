/* A library with every function of the C interface and no engine behind them, for the tests of how one is
 * found and loaded. Made with
 *
 *	gcc -Os -shared -fPIC -nostdlib -fno-ident -fno-asynchronous-unwind-tables -fcf-protection=none -s \
 *		-Wl,--build-id=none -Wl,-z,noseparate-code -o fake_engine_linux_amd64.so fake_engine.c
 */
typedef unsigned char u8;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef struct {
	int code;
	u32 flags;
	u64 handle;
	u8 *data;
	u64 len, cap;
} reply;

static u8 info[] = "{\"abi\":2,\"lancedb\":\"fake\",\"lance\":\"fake\",\"datafusion\":\"fake\",\"arrow\":\"fake\","
                   "\"target\":\"fake\",\"profile\":\"fake\",\"source\":\"fake\"}";

/* First, so that a test finds its number in the code and can change it. */
u32 pixano_abi_version(void) { return 2; }

void pixano_free(u8 *data, u64 len, u64 cap) {}
u64 pixano_call(u32 op, u64 call) { return 7; }

int pixano_init(const u8 *req, u64 req_len, void *log, reply *out)
{
	out->code = 0;
	out->flags = 0;
	out->handle = 0;
	out->data = info;
	out->len = sizeof info - 1;
	out->cap = sizeof info;
	return 0;
}

#define FUNCTION(name) \
	int pixano_##name(u64 handle, u64 call, const u8 *req, u64 req_len, const u8 *body, u64 body_len, reply *out) \
	{ \
		out->code = 6; \
		out->data = 0; \
		return 6; \
	}

FUNCTION(close) FUNCTION(connect) FUNCTION(table_names) FUNCTION(create_table) FUNCTION(open_table)
FUNCTION(drop_table) FUNCTION(schema) FUNCTION(table_info) FUNCTION(set_metadata) FUNCTION(stream)
FUNCTION(write) FUNCTION(merge_insert) FUNCTION(update)
FUNCTION(delete) FUNCTION(transaction) FUNCTION(sync) FUNCTION(query) FUNCTION(read) FUNCTION(count)
FUNCTION(explain) FUNCTION(sql) FUNCTION(index) FUNCTION(optimize) FUNCTION(versions) FUNCTION(columns)
FUNCTION(objects)
