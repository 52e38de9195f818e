-- Specs (*.param) in Neovim 0.7 or newer: the language server, and its hints from 0.10 on.
local group = vim.api.nvim_create_augroup("abcparam", {})

local function attached(_, buffer)
  vim.bo[buffer].omnifunc = "v:lua.vim.lsp.omnifunc"
  if vim.lsp.inlay_hint then
    vim.lsp.inlay_hint.enable(true, { bufnr = buffer })
  end
end

local client -- of 0.7, which has no `vim.lsp.start`
local function start(buffer)
  local config = { name = "abcparam", cmd = { "abcparam", "lsp" }, on_attach = attached }
  if vim.lsp.start then
    return vim.lsp.start(config, { bufnr = buffer })
  end
  client = client or vim.lsp.start_client(config)
  vim.lsp.buf_attach_client(buffer, client)
end

vim.api.nvim_create_autocmd({ "BufRead", "BufNewFile" }, {
  group = group,
  pattern = "*.param",
  callback = function(event)
    vim.bo[event.buf].filetype = "abcparam"
  end,
})
vim.api.nvim_create_autocmd("FileType", {
  group = group,
  pattern = "abcparam",
  callback = function(event)
    vim.bo[event.buf].commentstring = "# %s"
    start(event.buf)
  end,
})
