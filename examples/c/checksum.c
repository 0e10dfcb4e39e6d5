// A Switchboard plugin in C: the CRC-32 of a text, as a message and as a tool.
//
// The functions with long names are the plugin's exports. Their prototypes, and the types that cross the
// sandbox, are in target/checksum.h, which `wit-bindgen` writes from wit/world.wit. What comes in belongs to
// the plugin, and so does what it returns until it is returned: the generated code frees both.

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "checksum.h"

#define SCHEMA                                                                                            \
  "{\"type\":\"object\",\"properties\":{\"text\":{\"type\":\"string\",\"maxLength\":100000}},"            \
  "\"required\":[\"text\"],\"additionalProperties\":false}"

static const char *MANIFEST =
    "{\"name\":\"checksum\",\"version\":\"0.1.0\",\"description\":\"CRC-32 of texts\",\"tools\":true,"
    "\"handles\":[{\"type\":\"checksum\",\"emits\":[\"checksum_result\"],\"schema\":" SCHEMA "}]}";

static const char *TOOLS =
    "[{\"name\":\"checksum\",\"description\":\"The CRC-32 of a text's UTF-8 bytes\",\"inputSchema\":" SCHEMA "}]";

// The polynomial of ISO 3309, as in gzip and PNG, four bits at a time.
static uint32_t crc32(const uint8_t *bytes, size_t len) {
  static uint32_t table[16];
  if (table[1] == 0) {
    for (uint32_t i = 0; i < 16; i++) {
      uint32_t value = i;
      for (int bit = 0; bit < 4; bit++) value = value & 1 ? value >> 1 ^ 0xedb88320u : value >> 1;
      table[i] = value;
    }
  }
  uint32_t crc = ~0u;
  for (size_t i = 0; i < len; i++) {
    crc ^= bytes[i];
    crc = crc >> 4 ^ table[crc & 15];
    crc = crc >> 4 ^ table[crc & 15];
  }
  return ~crc;
}

static size_t put_utf8(uint8_t *out, uint32_t c) {
  if (c < 0x80) return out[0] = (uint8_t)c, 1;
  if (c < 0x800) return out[0] = (uint8_t)(0xc0 | c >> 6), out[1] = 0x80 | (c & 63), 2;
  if (c < 0x10000) return out[0] = (uint8_t)(0xe0 | c >> 12), out[1] = 0x80 | (c >> 6 & 63), out[2] = 0x80 | (c & 63), 3;
  out[0] = (uint8_t)(0xf0 | c >> 18), out[1] = 0x80 | (c >> 12 & 63);
  return out[2] = 0x80 | (c >> 6 & 63), out[3] = 0x80 | (c & 63), 4;
}

static uint32_t hex4(const uint8_t *digits) {
  char text[5] = {0};
  memcpy(text, digits, 4);
  return (uint32_t)strtoul(text, NULL, 16);
}

// The value of the only member, decoded in place. The host has held the JSON against SCHEMA before, so there is
// nothing else it could be. Decoding never makes it longer.
static uint8_t *text_of(checksum_string_t *json, size_t *len) {
  const uint8_t *in = json->ptr, *end = in + json->len;
  while (in < end && *in != ':') in++;
  while (in < end && *in != '"') in++;
  uint8_t *out = json->ptr;
  *len = 0;
  for (in++; in < end && *in != '"'; in++) {
    uint32_t c = *in;
    if (c != '\\') {
      out[(*len)++] = (uint8_t)c;
      continue;
    }
    switch (*++in) {
      case 'b': c = '\b'; break;
      case 'f': c = '\f'; break;
      case 'n': c = '\n'; break;
      case 'r': c = '\r'; break;
      case 't': c = '\t'; break;
      case 'u':
        c = hex4(in + 1), in += 4;
        // Two halves of one character beyond the first 65,536.
        if (c >= 0xd800 && c < 0xdc00 && end - in > 6 && in[1] == '\\' && in[2] == 'u')
          c = 0x10000 + ((c - 0xd800) << 10) + (hex4(in + 3) - 0xdc00), in += 6;
        break;
      default: c = *in;
    }
    *len += put_utf8(out + *len, c);
  }
  return out;
}

static int describe(char *out, size_t size, checksum_string_t *json) {
  size_t len;
  uint8_t *text = text_of(json, &len);
  return snprintf(out, size, "{\"crc32\":\"%08" PRIx32 "\",\"bytes\":%zu}", crc32(text, len), len);
}

void exports_switchboard_plugin_plugin_manifest(exports_switchboard_plugin_plugin_json_t *ret) {
  checksum_string_dup(ret, MANIFEST);
}

bool exports_switchboard_plugin_handler_handle(exports_switchboard_plugin_handler_context_t *ctx,
                                               exports_switchboard_plugin_handler_message_t *msg,
                                               exports_switchboard_plugin_handler_option_message_t *ret,
                                               exports_switchboard_plugin_handler_refusal_t *err) {
  (void)err;
  char payload[128];
  describe(payload, sizeof payload, &msg->payload);
  // A log line of the host: stdout is not a terminal, so what is printed has to be flushed.
  printf("%.*s asked for %s\n", (int)ctx->principal.subject.len, ctx->principal.subject.ptr, payload);
  fflush(stdout);

  memset(ret, 0, sizeof *ret);
  ret->is_some = true;
  checksum_string_dup(&ret->val.type, "checksum_result");
  checksum_string_dup(&ret->val.payload, payload);
  return true;
}

bool exports_switchboard_plugin_tools_list_tools(exports_switchboard_plugin_tools_context_t *ctx,
                                                 exports_switchboard_plugin_tools_json_t *ret,
                                                 exports_switchboard_plugin_tools_refusal_t *err) {
  (void)ctx, (void)err;
  checksum_string_dup(ret, TOOLS);
  return true;
}

bool exports_switchboard_plugin_tools_call_tool(exports_switchboard_plugin_tools_context_t *ctx,
                                                checksum_string_t *name,
                                                exports_switchboard_plugin_tools_json_t *arguments,
                                                exports_switchboard_plugin_tools_json_t *ret,
                                                exports_switchboard_plugin_tools_refusal_t *err) {
  // There is one tool, and the host calls no other.
  (void)ctx, (void)name, (void)err;
  char found[128], result[320];
  describe(found, sizeof found, arguments);
  char quoted[160];
  size_t at = 0;
  for (const char *c = found; *c; c++) {
    if (*c == '"') quoted[at++] = '\\';
    quoted[at++] = *c;
  }
  quoted[at] = 0;
  snprintf(result, sizeof result, "{\"content\":[{\"type\":\"text\",\"text\":\"%s\"}],\"structuredContent\":%s}",
           quoted, found);
  checksum_string_dup(ret, result);
  return true;
}
